"""`POST /v1/memories/search`."""

from datetime import datetime
from typing import Literal

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from services.domain.memories import Owner, owner_of
from services.memory_api.documented import problems
from services.memory_api.fields import Id, Moment, RoomId, Text
from services.memory_api.guard import ApiParam, Reader
from services.memory_api.problems import wrong_field
from services.postgres.search.searching import HIT_KINDS, Hit, HitKind

router = APIRouter(prefix="/v1/memories", tags=["Memories"])


class SearchIn(BaseModel):
    """What to look for, and where. Without an owner everything that the credential sees is searched."""

    model_config = ConfigDict(extra="forbid")

    query: Text = Field(min_length=1, max_length=4_000, examples=["Where does the user live?"])
    user_id: Id | None = Field(None, description="Only this person's rooms and memories.")
    company_id: Id | None = Field(None, description="Only this company's; one of the two.")
    room_id: RoomId | None = Field(None, description="Only this room, and what was learned in it.")
    kinds: list[HitKind] = Field(list(HIT_KINDS), min_length=1, max_length=5)
    since: Moment | None = Field(None, description="Nothing from before.")
    until: Moment | None = Field(None, description="Nothing from then on.")
    as_of: Moment | None = Field(None, description="As it was known to be true then.")
    limit: int = Field(10, ge=1, le=100)


class HitOut(BaseModel):
    """A message, a summary or a memory, with a score between 0 and 1.4."""

    kind: HitKind
    id: str
    room_id: str | None
    seq: int | None
    role: str
    text: str
    happened_at: datetime
    score: float
    made_by: str | None
    slug: str | None
    owner_type: Literal["user", "company"] | None
    owner_id: str | None
    valid_from: datetime | None
    valid_to: datetime | None


class SearchOut(BaseModel):
    hits: list[HitOut] = Field(description="The best first.")
    by_meaning: bool = Field(description="False where the embedding model was away and words alone decided.")


@router.post("/search", responses=problems(404, 413), summary="Search")
async def search(body: SearchIn, api: ApiParam, caller: Reader) -> SearchOut:
    """Find messages, summaries and memories by words and by meaning."""
    owner = _owner(body)
    if owner is not None:
        await api.access.owner(caller, owner)
    if body.room_id is not None:
        await api.access.room(caller, body.room_id)
    found = await api.resources.searching.find(
        body.query,
        tenant=caller.tenant,
        owner=owner,
        room_id=body.room_id,
        kinds=body.kinds,
        since=body.since,
        until=body.until,
        as_of=body.as_of,
        limit=body.limit,
    )
    return SearchOut(hits=[_hit(hit) for hit in found.hits], by_meaning=found.by_meaning)


def _owner(body: SearchIn) -> Owner | None:
    if body.user_id is not None and body.company_id is not None:
        raise wrong_field("body.company_id", "nothing where there is a user_id")
    if body.user_id is not None:
        return owner_of("user", body.user_id)
    return owner_of("company", body.company_id) if body.company_id is not None else None


def _hit(hit: Hit) -> HitOut:
    return HitOut(
        kind=hit.kind,
        id=hit.id,
        room_id=hit.room_id,
        seq=hit.seq,
        role=hit.role,
        text=hit.text,
        happened_at=hit.happened_at,
        score=hit.score,
        made_by=hit.made_by,
        slug=hit.slug,
        owner_type=hit.owner.type if hit.owner else None,
        owner_id=str(hit.owner.id) if hit.owner else None,
        valid_from=hit.valid_from,
        valid_to=hit.valid_to,
    )
