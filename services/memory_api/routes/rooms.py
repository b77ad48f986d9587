"""Rooms, their messages and their summaries, to read."""

from dataclasses import asdict
from datetime import datetime
from typing import Literal

from fastapi import APIRouter
from pydantic import BaseModel, Field, JsonValue

from services.memories.recent_messages import RecentMessage
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
from services.memory_api.fields import RoomPath
from services.memory_api.guard import ApiParam, Reader
from services.postgres.archive.room_reading import RoomLine, Said
from services.postgres.archive.summaries import Summary

router = APIRouter(prefix="/v1/rooms")


class RoomOut(BaseModel):
    room_id: str
    owner_type: Literal["user", "company"] | None
    owner_id: str | None
    last_seq: int = Field(description="The number of the last archived message.")
    digested: int
    quarantined: int
    created_at: datetime
    last_archived_at: datetime


class RoomPage(BaseModel):
    rooms: list[RoomOut]
    next_cursor: str | None


class MessageOut(BaseModel):
    """A message. One that is buffered has no number yet, and may have no id and no time until it is archived."""

    seq: int | None
    id: str | None
    role: str
    content: str
    user_id: str | None
    sent_at: datetime | None
    tool_calls: list[dict[str, JsonValue]]
    remember: bool
    state: Literal["buffered", "archived", "digested", "quarantined"]


class MessagePage(BaseModel):
    room_id: str
    messages: list[MessageOut]
    next_cursor: str | None


class SummaryOut(BaseModel):
    text: str
    made_by: Literal["model", "extractive"] = Field(description="`extractive`: of the messages' own sentences.")
    covers_from: int
    covers_to: int
    prompt_version: str
    model: str


class RoomSummary(BaseModel):
    room_id: str
    rolling: SummaryOut | None = Field(description="The whole room in one text; null where nothing is digested yet.")
    parts: list[SummaryOut] = Field(description="One for each stretch of messages, in the room's order.")


@router.get("", tags=["Rooms"], responses=problems(), summary="List rooms")
async def rooms(api: ApiParam, caller: Reader, cursor: CursorParam = None, limit: LimitParam = 50) -> RoomPage:
    """List the archived rooms that the credential sees, the one that was written to last first."""
    last = read_cursor(cursor, as_time, as_text)
    after = (last[0], last[1]) if last else None
    lines = await api.resources.reading.page(after=after, limit=limit, tenant=caller.tenant)
    page = next_cursor(lines, limit, lambda line: write_cursor(line.last_archived_at, line.room_id))
    return RoomPage(rooms=[_room(line) for line in lines], next_cursor=page)


@router.get("/{room_id}/messages", tags=["Messages"], responses=problems(404), summary="List a room's messages")
async def messages(
    room_id: RoomPath,
    api: ApiParam,
    caller: Reader,
    cursor: CursorParam = None,
    limit: LimitParam = 50,
) -> MessagePage:
    """List messages in the room's order; after the last that is archived comes what is still buffered."""
    await api.access.room(caller, room_id)
    after = read_cursor(cursor, as_number)
    # Read before the archive: what is archived meanwhile is found twice rather than not at all.
    waiting = await api.resources.recent.buffered(room_id)
    said = await api.resources.reading.messages(
        room_id, after=after[0] if after else 0, limit=limit, tenant=caller.tenant
    )
    found = [said_out(one) for one in said]
    page = next_cursor(said, limit, lambda one: write_cursor(one.message.seq))
    if page is None:
        ids = [one.id for one in waiting if one.id is not None]
        receipts = await api.resources.rooms.receipts(room_id, ids, tenant=caller.tenant)
        archived = {receipt.message_id for receipt in receipts}
        found += [recent_out(one) for one in waiting if one.id not in archived]
    return MessagePage(room_id=room_id, messages=found, next_cursor=page)


@router.get("/{room_id}/summary", tags=["Rooms"], responses=problems(404), summary="Read a room's summary")
async def summary(room_id: RoomPath, api: ApiParam, caller: Reader) -> RoomSummary:
    """Give the rolling summary and its parts, each with what made it and the messages that it covers."""
    await api.access.room(caller, room_id)
    rolling = await api.resources.summaries.rolling(room_id, tenant=caller.tenant)
    parts = await api.resources.summaries.parts(room_id, tenant=caller.tenant)
    return RoomSummary(
        room_id=room_id, rolling=_summary(rolling) if rolling else None, parts=[_summary(part) for part in parts]
    )


def _room(line: RoomLine) -> RoomOut:
    return RoomOut(
        room_id=line.room_id,
        owner_type=line.owner.type if line.owner else None,
        owner_id=str(line.owner.id) if line.owner else None,
        last_seq=line.last_seq,
        digested=line.digested,
        quarantined=line.quarantined,
        created_at=line.created_at,
        last_archived_at=line.last_archived_at,
    )


def said_out(said: Said) -> MessageOut:
    message = said.message
    return MessageOut(
        seq=message.seq,
        id=message.id,
        role=message.role,
        content=message.content,
        user_id=message.user_id,
        sent_at=message.sent_at,
        tool_calls=list(message.tool_calls),
        remember=message.remember,
        state=said.state,
    )


def recent_out(message: RecentMessage) -> MessageOut:
    return MessageOut(
        seq=message.seq,
        id=message.id,
        role=message.role,
        content=message.content,
        user_id=message.user_id,
        sent_at=message.sent_at,
        tool_calls=list(message.tool_calls),
        remember=message.remember,
        state="buffered",
    )


def _summary(summary: Summary) -> SummaryOut:
    return SummaryOut(**asdict(summary))
