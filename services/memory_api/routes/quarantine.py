"""What could not be processed, for operators: listed without its content, and tried again."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from afterturn_client.rooms import ROOM_ID_PATTERN
from fastapi import APIRouter, Body, Query
from pydantic import BaseModel, ConfigDict, Field

from services.credential import Credential
from services.memory_api.api import Api
from services.memory_api.cursors import (
    CursorParam,
    LimitParam,
    as_number,
    as_text,
    as_time,
    next_cursor,
    read_cursor,
    write_cursor,
)
from services.memory_api.documented import problems
from services.memory_api.fields import RoomId
from services.memory_api.guard import Admin, ApiParam
from services.memory_api.problems import ProblemError, not_found
from services.postgres.archive.quarantine import Quarantined

router = APIRouter(prefix="/v1/quarantine", tags=["Operators"])


class QuarantinedOut(BaseModel):
    """`reason` is a word of a fixed list; `detail` names what is wrong and quotes nothing."""

    id: UUID
    kind: Literal["entry", "buffer", "chunk"]
    room_id: str | None
    reason: str
    detail: str
    tries: int
    created_at: datetime


class QuarantinePage(BaseModel):
    items: list[QuarantinedOut]
    next_cursor: str | None


class RedriveIn(BaseModel):
    model_config = ConfigDict(extra="forbid")

    room_id: RoomId | None = Field(None, description="Where it belongs, if its key named no room.")


class RedriveOut(BaseModel):
    """What became of it. What is `still_bad` stays in quarantine, `detail` says why."""

    id: UUID
    outcome: Literal["archived", "repeated", "put_back", "still_bad", "redriven_before"]
    room_id: str | None
    detail: str


@router.get("", responses=problems(404), summary="List what is in quarantine")
async def quarantine(
    api: ApiParam,
    caller: Admin,
    room_id: Annotated[str | None, Query(pattern=ROOM_ID_PATTERN, description="Of this room only.")] = None,
    cursor: CursorParam = None,
    limit: LimitParam = 50,
) -> QuarantinePage:
    """List what is open, the oldest first; for a bound credential, of the rooms that it sees."""
    if room_id is not None and caller.tenant is not None:
        await api.access.room(caller, room_id)
    last = read_cursor(cursor, as_time, as_text, as_number, UUID)
    items = await api.resources.quarantine.page(
        after=(last[0], last[1], last[2], last[3]) if last else None,
        room_id=room_id,
        owners=await api.access.owners(caller),
        limit=limit,
    )
    page = next_cursor(items, limit, lambda item: write_cursor(item.created_at, item.source, item.position, item.id))
    return QuarantinePage(items=[_quarantined(item) for item in items], next_cursor=page)


@router.post("/{item_id}/redrive", responses=problems(404, 409, 413), summary="Try again")
async def redrive(
    item_id: UUID, api: ApiParam, caller: Admin, body: Annotated[RedriveIn | None, Body()] = None
) -> RedriveOut:
    """Put it back on its way: an entry goes to the end of its room, a chunk waits to be digested. Safe to repeat."""
    room_id = body.room_id if body else None
    await _see(api, caller, item_id, room_id)
    done = await api.redriving.redrive(item_id, room_id=room_id)
    if done.outcome == "unknown":
        raise not_found("item in quarantine")
    if done.outcome == "needs_room":
        raise ProblemError(409, "Its key named no room: say which one it belongs to.")
    if done.room_id and done.outcome in ("archived", "put_back"):
        await api.redriving.wake(done.room_id)
    return RedriveOut(id=done.id, outcome=done.outcome, room_id=done.room_id, detail=done.detail)


async def _see(api: Api, caller: Credential, item_id: UUID, room_id: str | None) -> None:
    if caller.tenant is None:
        return
    item = await api.resources.quarantine.get(item_id)
    if item is None or item.room_id is None:
        raise not_found("item in quarantine")
    for room in {item.room_id, room_id or item.room_id}:
        await api.access.room(caller, room)


def _quarantined(item: Quarantined) -> QuarantinedOut:
    return QuarantinedOut.model_validate({name: getattr(item, name) for name in QuarantinedOut.model_fields})
