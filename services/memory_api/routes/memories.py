"""The memories of a person or a company: `/v1/users/{owner_id}/memories`, `/v1/companies/{owner_id}/memories`."""

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated, Literal, cast
from uuid import UUID

from fastapi import APIRouter, Body, Depends, Request, Response
from pydantic import BaseModel, ConfigDict, Field, JsonValue

from services.credential import Credential
from services.domain.memories import MAX_CONTENT, Change, Kind, MadeBy, NewMemory, Owner, owner_of
from services.memories.saving import MemoryFailure, SaveResult
from services.memory_api.api import Api
from services.memory_api.cursors import CursorParam, LimitParam, as_text, next_cursor, read_cursor, write_cursor
from services.memory_api.documented import problems
from services.memory_api.entity_tags import IfMatch, IfNoneMatch, etag, expected, is_named
from services.memory_api.fields import IdPath, Moment, SlugPath, Text
from services.memory_api.guard import ApiParam, Reader, Writer
from services.memory_api.once import Done, IdempotencyKey, once
from services.memory_api.problems import ProblemError, not_found, unavailable, wrong_field
from services.postgres.memories.brain import MemoryRecord

MOST_MEMORIES = 100
router = APIRouter(tags=["Memories"])
_ETAG = {"ETag": {"description": "The version that stands.", "schema": {"type": "string"}}}


class MemoryOut(BaseModel):
    """A memory that stands, with what made it; `version_id` is its ETag, `memory_id` its id in Mem0."""

    slug: str
    content: str
    kind: Kind
    memory_id: str
    metadata: dict[str, JsonValue]
    asserted_at: datetime
    made_by: MadeBy
    version_id: UUID
    created_at: datetime
    updated_at: datetime
    model: str | None
    prompt_version: str | None
    run_id: str | None


class MemoryPage(BaseModel):
    memories: list[MemoryOut]
    next_cursor: str | None


class MemoryPut(BaseModel):
    """What a memory says from now on, or from `asserted_at` on: a newer fact that is known already stands."""

    model_config = ConfigDict(extra="forbid")

    content: Text = Field(min_length=1, max_length=MAX_CONTENT)
    kind: Kind = "semantic"
    metadata: dict[str, JsonValue] = {}
    asserted_at: Moment | None = None


class MemorySaved(BaseModel):
    """`memory` is what stands now, null where nothing does."""

    outcome: Change
    memory: MemoryOut | None


class MemoriesIn(BaseModel):
    """Memories to save: each has a `slug` and `content`, and may have `kind`, `metadata` and `asserted_at`.

    One that is wrong is told in the answer, and stops none of the others.
    """

    model_config = ConfigDict(extra="forbid")

    memories: list[dict[str, JsonValue]] = Field(
        min_length=1,
        max_length=MOST_MEMORIES,
        examples=[[{"slug": "user_city", "content": "The user lives in Lima.", "kind": "semantic"}]],
    )


class VersionOut(BaseModel):
    """What the memory said from `valid_from` to `valid_to`; without content it was no longer true."""

    version_id: UUID
    content: str | None
    kind: Kind
    metadata: dict[str, JsonValue]
    valid_from: datetime
    valid_to: datetime | None
    made_by: MadeBy
    model: str | None
    prompt_version: str | None
    run_id: str | None
    recorded_at: datetime
    sources: list[UUID]


class History(BaseModel):
    slug: str
    versions: list[VersionOut]


class SourceMessage(BaseModel):
    room_id: str
    seq: int
    id: str
    role: str
    user_id: str | None
    content: str
    sent_at: datetime


class OriginOut(BaseModel):
    """One time that the memory was asserted, with the messages that bear it out, as far as the credential sees them."""

    version_id: UUID
    content: str | None
    asserted_at: datetime
    recorded_at: datetime
    made_by: MadeBy
    model: str | None
    prompt_version: str | None
    run_id: str | None
    messages: list[SourceMessage]


class Lineage(BaseModel):
    slug: str
    origins: list[OriginOut]


async def owner_of_path(owner_id: IdPath, request: Request) -> Owner:
    kind: Literal["user", "company"] = "user" if request.url.path.startswith("/v1/users/") else "company"
    return owner_of(kind, owner_id)


async def _seen(owner: Annotated[Owner, Depends(owner_of_path)], api: ApiParam, caller: Reader) -> Owner:
    await api.access.owner(caller, owner)
    return owner


async def _written(owner: Annotated[Owner, Depends(owner_of_path)], api: ApiParam, caller: Writer) -> Owner:
    await api.access.owner(caller, owner, to_write=True)
    return owner


Seen = Annotated[Owner, Depends(_seen)]
Written = Annotated[Owner, Depends(_written)]


@router.get("/memories", responses=problems(404), summary="List memories")
async def memories(
    owner: Seen, api: ApiParam, caller: Reader, cursor: CursorParam = None, limit: LimitParam = 50
) -> MemoryPage:
    """List the memories that stand, by their slugs."""
    after = read_cursor(cursor, as_text)
    brain = api.resources.brain
    read = brain.get_all_by_user if owner.type == "user" else brain.get_all_by_company
    found = await read(owner.id, after=after[0] if after else None, limit=limit, tenant=caller.tenant)
    page = next_cursor(found, limit, lambda record: write_cursor(record.slug))
    return MemoryPage(memories=[_memory(record) for record in found], next_cursor=page)


@router.post("/memories", response_model=SaveResult, responses=problems(404, 409, 413), summary="Save many memories")
async def save(
    owner: Written, body: MemoriesIn, request: Request, api: ApiParam, caller: Writer, key: IdempotencyKey = None
) -> Response:
    """Save memories, each for itself, and say what became of each in the order given."""
    _kept(api)

    async def work() -> Done:
        service = api.resources.memories
        saves = service.save_user_memories if owner.type == "user" else service.save_company_memories
        saved = await saves(owner.external_id or owner.id, body.memories)
        return Done(saved, is_final=not any(error.transient for error in saved.errors))

    return await once(api.repeated, request, caller, key, work)


@router.get(
    "/memories/{slug}",
    response_model=MemoryOut,
    responses={
        200: {"headers": _ETAG},
        304: {"description": "What If-None-Match names still stands."},
        **problems(404),
    },
    summary="Read a memory",
)
async def memory(
    slug: SlugPath, owner: Seen, api: ApiParam, caller: Reader, response: Response, if_none_match: IfNoneMatch = None
) -> MemoryOut | Response:
    record = await _standing(api, caller, owner, slug)
    if record is None:
        raise not_found("memory")
    if is_named(if_none_match, record.version_id):
        return Response(status_code=304, headers={"ETag": etag(record.version_id)})
    response.headers["ETag"] = etag(record.version_id)
    return _memory(record)


@router.put(
    "/memories/{slug}",
    responses={200: {"headers": _ETAG}, 201: {"model": MemorySaved, "headers": _ETAG}, **problems(404, 412, 413, 428)},
    summary="Save a memory",
)
async def put(  # noqa: PLR0913, PLR0917  each is a parameter of the route
    slug: SlugPath,
    body: Annotated[MemoryPut, Body()],
    owner: Written,
    api: ApiParam,
    caller: Writer,
    response: Response,
    if_match: IfMatch = None,
    if_none_match: IfNoneMatch = None,
) -> MemorySaved:
    """Replace what stands: `If-Match` with its ETag, or `If-None-Match: *` where nothing stands yet."""
    _kept(api)
    said = NewMemory(
        slug=slug,
        content=body.content,
        kind=body.kind,
        metadata=dict(body.metadata),
        asserted_at=body.asserted_at or datetime.now(UTC),
        stands=expected(if_match, if_none_match),
    )
    change = _change(await api.resources.memories.save(owner, [said]))
    record = await _standing(api, caller, owner, slug)
    if record is not None:
        response.headers["ETag"] = etag(record.version_id)
    response.status_code = 201 if change == "created" else 200
    return MemorySaved(outcome=change, memory=_memory(record) if record else None)


@router.delete("/memories/{slug}", status_code=204, responses=problems(404, 412, 428), summary="End a memory")
async def delete(slug: SlugPath, owner: Written, api: ApiParam, caller: Writer, if_match: IfMatch = None) -> None:
    """Say that the memory is no longer true. What it said stays in its history."""
    stands = expected(if_match, None)
    _kept(api)
    if await _standing(api, caller, owner, slug) is None:
        raise not_found("memory")
    ends = NewMemory(slug=slug, content=None, asserted_at=datetime.now(UTC), stands=stands)
    _change(await api.resources.memories.save(owner, [ends]))


@router.get("/memories/{slug}/history", responses=problems(404), summary="Read a memory's history")
async def history(slug: SlugPath, owner: Seen, api: ApiParam, caller: Reader) -> History:
    """Give what the memory said over time, the oldest version first."""
    versions = await api.resources.brain.history(owner, slug, tenant=caller.tenant)
    if not versions:
        raise not_found("memory")
    return History(slug=slug, versions=[VersionOut.model_validate(asdict(version)) for version in versions])


@router.get("/memories/{slug}/lineage", responses=problems(404), summary="Read where a memory came from")
async def lineage(slug: SlugPath, owner: Seen, api: ApiParam, caller: Reader) -> Lineage:
    """Give every time that the memory was asserted, with the messages that bear it out."""
    origins = await api.resources.brain.lineage(owner, slug, tenant=caller.tenant)
    if not origins:
        raise not_found("memory")
    return Lineage(slug=slug, origins=[OriginOut.model_validate(asdict(origin)) for origin in origins])


async def _standing(api: Api, caller: Credential, owner: Owner, slug: str) -> MemoryRecord | None:
    brain = api.resources.brain
    read = brain.get_by_user_and_slug if owner.type == "user" else brain.get_by_company_and_slug
    return await read(owner.id, slug, tenant=caller.tenant)


def _memory(record: MemoryRecord) -> MemoryOut:
    return MemoryOut.model_validate(asdict(record))


def _kept(api: Api) -> None:
    if not api.resources.memories.is_configured:
        raise unavailable("Memories are not kept: neither MEM0_BACKEND nor MEM0_API_KEY is set.", retry_after=3_600)


def _change(result: SaveResult) -> Change:
    """Give what became of the one memory; raise the problem that kept it from being saved."""
    if result.errors:
        raise _failed(result.errors[0])
    return cast("Change", result.results[0].outcome)


def _failed(failure: MemoryFailure) -> ProblemError:
    if failure.changed:
        return ProblemError(412, "Read the memory again: somebody changed it.")
    if failure.field:
        return wrong_field(failure.field, failure.reason.partition("takes ")[2] or failure.reason)
    if failure.transient:
        return unavailable(
            "The memory was not saved; the same request may be sent again.", retry_after=failure.retry_after
        )
    return ProblemError(422, failure.reason)
