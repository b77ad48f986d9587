"""What applications keep of a person or a company by name: `…/preferences`, `…/facts`, and how much there is of it."""

from typing import Annotated, Any

from fastapi import APIRouter, Body, Depends, Request, Response
from pydantic import BaseModel, ConfigDict, Field, JsonValue

from services.domain.sections import DEFAULT_NAMESPACE, Level, Section
from services.memory_api.cursors import CursorParam, LimitParam, as_text, read_cursor, write_cursor
from services.memory_api.documented import problems
from services.memory_api.entity_tags import IfMatch, IfNoneMatch, etag, expected_number, is_named
from services.memory_api.fields import Text
from services.memory_api.guard import ApiParam
from services.memory_api.named_values import (
    NAMESPACE_PATTERN,
    KeyPage,
    KeyPath,
    NamespaceParam,
    PrefixParam,
    ValueIn,
    ValueOut,
    key_page,
    value_out,
    written,
)
from services.memory_api.problems import not_found
from services.memory_api.routes.memories import Seen, Written

MOST_FACTS = 100
router = APIRouter(tags=["Sections"])
_ETAG: dict[str, Any] = {"headers": {"ETag": {"description": "The version.", "schema": {"type": "string"}}}}


class FactsIn(BaseModel):
    """Facts by their keys: all are stored, or none."""

    model_config = ConfigDict(extra="forbid")

    facts: dict[str, JsonValue] = Field(
        min_length=1, max_length=MOST_FACTS, examples=[{"plan": {"name": "team", "seats": 12}}]
    )


class StoredFact(BaseModel):
    key: str
    version: int


class StoredFacts(BaseModel):
    facts: list[StoredFact] = Field(description="In the order given.")


class FactSearchIn(BaseModel):
    model_config = ConfigDict(extra="forbid")

    query: Text = Field(min_length=1, max_length=4_000, examples=["Where do invoices go?"])
    namespace: str | None = Field(None, pattern=NAMESPACE_PATTERN, description="Without one, all are searched.")
    limit: int = Field(10, ge=1, le=100)


class FactHit(BaseModel):
    key: str
    namespace: str
    value: JsonValue
    version: int
    score: float


class FoundFacts(BaseModel):
    facts: list[FactHit] = Field(description="The best first.")


class SectionSizeOut(BaseModel):
    """Bytes are of JSON, before compression and after it."""

    section: Section
    level: Level
    values: int
    raw_bytes: int
    stored_bytes: int


class StorageOut(BaseModel):
    """What the owner has stored; what Redis alone knows is left out while it is away."""

    sections: list[SectionSizeOut]
    sessions: int | None


async def _section_of_path(request: Request) -> Section:
    return "user_preferences" if "/preferences" in request.scope["route"].path else "facts"


SectionOfPath = Annotated[Section, Depends(_section_of_path)]


@router.get("/preferences", responses=problems(404), summary="List preferences")
@router.get("/facts", responses=problems(404), summary="List facts")
async def values(
    section: SectionOfPath,
    owner: Seen,
    api: ApiParam,
    namespace: NamespaceParam = DEFAULT_NAMESPACE,
    prefix: PrefixParam = "",
    cursor: CursorParam = None,
    limit: LimitParam = 50,
) -> KeyPage:
    """List keys in their order, without what they hold."""
    after = read_cursor(cursor, as_text)
    page = await api.resources.sections.list_keys(
        owner, section, namespace=namespace, prefix=prefix, cursor=after[0] if after else None, limit=limit
    )
    return key_page(page, write_cursor)


@router.get(
    "/preferences/{key:path}",
    response_model=ValueOut,
    responses={200: _ETAG, 304: {"description": "What If-None-Match names still stands."}, **problems(404)},
    summary="Read a preference",
)
@router.get(
    "/facts/{key:path}",
    response_model=ValueOut,
    responses={200: _ETAG, 304: {"description": "What If-None-Match names still stands."}, **problems(404)},
    summary="Read a fact",
)
async def value(
    key: KeyPath,
    section: SectionOfPath,
    owner: Seen,
    api: ApiParam,
    response: Response,
    namespace: NamespaceParam = DEFAULT_NAMESPACE,
    if_none_match: IfNoneMatch = None,
) -> ValueOut | Response:
    found = await api.resources.sections.get(owner, section, key, namespace=namespace)
    if found is None:
        raise not_found("value")
    if is_named(if_none_match, found.version):
        return Response(status_code=304, headers={"ETag": etag(found.version)})
    response.headers["ETag"] = etag(found.version)
    return value_out(found)


@router.put("/preferences/{key:path}", responses={200: _ETAG, **problems(404, 412, 413)}, summary="Keep a preference")
@router.put("/facts/{key:path}", responses={200: _ETAG, **problems(404, 412, 413)}, summary="Keep a fact")
async def put(  # noqa: PLR0913, PLR0917  each is a parameter of the route
    key: KeyPath,
    body: Annotated[ValueIn, Body()],
    section: SectionOfPath,
    owner: Written,
    api: ApiParam,
    response: Response,
    namespace: NamespaceParam = DEFAULT_NAMESPACE,
    if_match: IfMatch = None,
    if_none_match: IfNoneMatch = None,
) -> ValueOut:
    """Replace what stands: only the version that `If-Match` names, or only nothing with `If-None-Match: *`."""
    sections = api.resources.sections
    kept = await written(
        expected_number(if_match, if_none_match),
        lambda: sections.get(owner, section, key, namespace=namespace),
        lambda version: sections.set(owner, section, key, body.value, namespace=namespace, if_version=version),
    )
    response.headers["ETag"] = etag(kept.version)
    return value_out(kept)


@router.delete("/preferences/{key:path}", status_code=204, responses=problems(404, 412), summary="Delete a preference")
@router.delete("/facts/{key:path}", status_code=204, responses=problems(404, 412), summary="Delete a fact")
async def delete(
    key: KeyPath,
    section: SectionOfPath,
    owner: Written,
    api: ApiParam,
    namespace: NamespaceParam = DEFAULT_NAMESPACE,
    if_match: IfMatch = None,
) -> None:
    """Delete for good, only the version that `If-Match` names. What is not there is deleted already."""
    sections = api.resources.sections
    await written(
        expected_number(if_match, None),
        lambda: sections.get(owner, section, key, namespace=namespace),
        lambda version: sections.delete(owner, section, key, namespace=namespace, if_version=version),
    )


@router.post("/facts", responses=problems(404, 413), summary="Keep many facts")
async def store_facts(
    body: FactsIn, owner: Written, api: ApiParam, namespace: NamespaceParam = DEFAULT_NAMESPACE
) -> StoredFacts:
    """Keep facts by their keys, all or none; safe to repeat."""
    stored = await api.resources.sections.store_facts(owner, body.facts, namespace=namespace)
    return StoredFacts(facts=[StoredFact(key=one.key, version=one.version) for one in stored])


@router.post("/facts/search", responses=problems(404, 413), summary="Search facts")
async def search_facts(body: FactSearchIn, owner: Seen, api: ApiParam) -> FoundFacts:
    """Find facts by words and by meaning."""
    found = await api.resources.sections.search_facts(owner, body.query, namespace=body.namespace, limit=body.limit)
    return FoundFacts(
        facts=[
            FactHit(key=one.key, namespace=one.namespace, value=one.value, version=one.version, score=one.score)
            for one in found
        ]
    )


@router.get("/storage", responses=problems(404), summary="Read how much is stored")
async def storage(owner: Seen, api: ApiParam) -> StorageOut:
    stats = await api.resources.sections.get_storage_stats(owner)
    sizes = [
        SectionSizeOut(
            section=one.section,
            level=one.level,
            values=one.values,
            raw_bytes=one.raw_bytes,
            stored_bytes=one.stored_bytes,
        )
        for one in stats.sections
    ]
    return StorageOut(sections=sizes, sessions=stats.sessions)
