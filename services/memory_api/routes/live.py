"""`GET /v1/rooms/{room_id}/live`: a room's newest messages step by step, for whoever looks on."""

import asyncio
import hashlib
import time
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, Field

from services.credential import Credential
from services.domain.ids import message_uid
from services.memories.recent_messages import RecentMessage
from services.memory_api.api import Api
from services.memory_api.documented import problems
from services.memory_api.entity_tags import IfNoneMatch, etag, is_named
from services.memory_api.fields import RoomPath
from services.memory_api.guard import ApiParam, Reader
from services.memory_api.routes.receipts import Became, became
from services.memory_api.routes.rooms import MessageOut, recent_out, said_out
from services.postgres.archive.room_reading import Said
from services.postgres.memories.brain import DerivedMemory

_LOOK_SECONDS = 0.5
_LOOK_SECONDS_LATER = 1.5
_OFTEN = 10
_TAG = {"ETag": {"description": "Of what is answered.", "schema": {"type": "string"}}}
router = APIRouter(prefix="/v1/rooms", tags=["Messages"])


class LiveMessage(MessageOut):
    """A message, how far its digest is, and what came of it as far as the credential sees it."""

    is_summarised: bool
    memories: list[Became]


class LiveRoom(BaseModel):
    room_id: str
    owner_type: str | None
    owner_id: str | None
    messages: list[LiveMessage] = Field(description="The newest, in the room's order; the buffered ones last.")
    earlier: int | None = Field(description="What `before` takes for the messages before these; null at the start.")


@router.get(
    "/{room_id}/live",
    response_model=LiveRoom,
    responses={
        200: {"headers": _TAG},
        304: {"description": "Nothing changed while it was waited."},
        **problems(404),
    },
    summary="Watch a room",
)
async def live(  # noqa: PLR0913, PLR0917  each is a parameter of the route
    room_id: RoomPath,
    request: Request,
    api: ApiParam,
    caller: Reader,
    response: Response,
    if_none_match: IfNoneMatch = None,
    before: Annotated[int | None, Query(ge=1, lt=2**63, description="Archived messages before this number.")] = None,
    limit: Annotated[int, Query(ge=1, le=200, description="How many archived messages at the most.")] = 50,
    wait_seconds: Annotated[float, Query(ge=0, le=60, description="Wait so long for a change.")] = 0.0,
) -> LiveRoom | Response:
    """Give the newest messages. With `If-None-Match` and `wait_seconds` the answer comes when something changes.

    A room that nothing was said in yet is empty where the credential may begin it.
    """
    await api.access.room_or_new(caller, room_id)
    view = _View(api, caller, room_id, before, limit)
    found, tag = await view.look()
    if is_named(if_none_match, tag) and wait_seconds > 0 and not api.waiting.locked():
        async with api.waiting:
            found, tag = await view.changed(tag, wait_seconds, request)
    if is_named(if_none_match, tag):
        return Response(status_code=304, headers={"ETag": etag(tag)})
    response.headers["ETag"] = etag(tag)
    return found


class _View:
    def __init__(self, api: Api, caller: Credential, room_id: str, before: int | None, limit: int) -> None:
        self._api = api
        self._caller = caller
        self._room_id = room_id
        self._before = before
        self._limit = limit

    async def changed(self, tag: UUID, seconds: float, request: Request) -> tuple[LiveRoom, UUID]:
        """Look until something changed or time is up; nothing is held open meanwhile."""
        until = time.monotonic() + seconds
        looks = 0
        while True:
            found, now = await self.look()
            left = until - time.monotonic()
            if now != tag or left <= 0 or await request.is_disconnected():
                return found, now
            looks += 1
            await asyncio.sleep(min(left, _LOOK_SECONDS if looks < _OFTEN else _LOOK_SECONDS_LATER))

    async def look(self) -> tuple[LiveRoom, UUID]:
        # The buffer first: what is archived meanwhile is found twice rather than not at all.
        waiting = await self._api.resources.recent.buffered(self._room_id) if self._before is None else []
        resources, tenant = self._api.resources, self._caller.tenant
        room = await resources.reading.find(self._room_id, tenant=tenant)
        end = min(self._before or 2**62, room.last_seq + 1 if room else 1)
        said = await resources.reading.messages(
            self._room_id, after=max(0, end - 1 - self._limit), limit=self._limit, tenant=tenant
        )
        said = [one for one in said if one.message.seq < end]
        uids = {one.message.id: message_uid(self._room_id, one.message.id) for one in said}
        derived = await resources.brain.memories_of_messages(set(uids.values()), tenant=tenant)
        summarised = await resources.summaries.covered(self._room_id, from_seq=end - self._limit, tenant=tenant)
        messages = [_archived(one, summarised, derived.get(uids[one.message.id], [])) for one in said]
        messages += [_buffered(one) for one in waiting if one.id not in uids]
        found = LiveRoom(
            room_id=self._room_id,
            owner_type=room.owner.type if room and room.owner else None,
            owner_id=str(room.owner.id) if room and room.owner else None,
            messages=messages,
            earlier=end - self._limit if end - self._limit > 1 else None,
        )
        return found, UUID(bytes=hashlib.sha256(found.model_dump_json().encode()).digest()[:16])


def _archived(said: Said, summarised: list[range], derived: list[DerivedMemory]) -> LiveMessage:
    message = said_out(said)
    is_summarised = any(said.message.seq in covered for covered in summarised)
    return LiveMessage(
        **message.model_dump(), is_summarised=is_summarised, memories=[became(memory) for memory in derived]
    )


def _buffered(message: RecentMessage) -> LiveMessage:
    return LiveMessage(**recent_out(message).model_dump(), is_summarised=False, memories=[])
