"""What became of one message, waiting for it if asked."""

import asyncio
import time
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, Field

from services.credential import Credential
from services.domain.ids import message_uid
from services.memory_api.api import Api
from services.memory_api.documented import problems
from services.memory_api.fields import IdPath, RoomPath
from services.memory_api.guard import ApiParam, Reader
from services.memory_api.problems import not_found
from services.postgres.memories.brain import DerivedMemory

State = Literal["buffered", "archived", "digested", "quarantined"]
_LEVELS: dict[State, int] = {"buffered": 0, "archived": 1, "digested": 2, "quarantined": 2}
_LOOK_SECONDS = 0.25
_LOOK_SECONDS_LATER = 1.0
_OFTEN = 8
router = APIRouter(prefix="/v1/rooms", tags=["Messages"])


class Became(BaseModel):
    """A memory that the message bears out; one that is not current was followed by a newer fact."""

    owner_type: Literal["user", "company"]
    owner_id: str
    slug: str
    is_current: bool


class ReceiptOut(BaseModel):
    room_id: str
    message_id: str
    state: State
    seq: int | None = Field(description="Its number in the room, from when it is archived on.")
    run_id: str | None = Field(description="The run that brought it to this state.")
    memories: list[Became] = Field(description="What came of it, as far as the credential sees it.")


@router.get("/{room_id}/messages/{message_id}", responses=problems(404), summary="Read a message's receipt")
async def receipt(
    room_id: RoomPath,
    message_id: IdPath,
    request: Request,
    api: ApiParam,
    caller: Reader,
    wait_for: Annotated[Literal["archived", "digested"] | None, Query(description="Wait until it is so far.")] = None,
    wait_seconds: Annotated[float, Query(ge=0, le=60, description="How long to wait at the most.")] = 30.0,
) -> ReceiptOut:
    """Say what became of a message: buffered, archived, digested or quarantined.

    When time is up, or too many wait already, today's state is answered.
    """
    await api.access.room(caller, room_id)
    found = await _look(api, caller, room_id, message_id)
    if wait_for is not None and not _is_so_far(found, wait_for) and not api.waiting.locked():
        async with api.waiting:
            found = await _wait(api, caller, found, wait_for, wait_seconds, request)
    derived = await api.resources.brain.memories_of_message(message_uid(room_id, message_id), tenant=caller.tenant)
    return found.model_copy(update={"memories": [became(memory) for memory in derived]})


async def _wait(
    api: Api, caller: Credential, found: ReceiptOut, wait_for: State, seconds: float, request: Request
) -> ReceiptOut:
    """Look again and again; nothing is held open meanwhile."""
    until = time.monotonic() + seconds
    looks = 0
    while not _is_so_far(found, wait_for) and (left := until - time.monotonic()) > 0:
        if await request.is_disconnected():
            break
        looks += 1
        await asyncio.sleep(min(left, _LOOK_SECONDS if looks < _OFTEN else _LOOK_SECONDS_LATER))
        found = await _look(api, caller, found.room_id, found.message_id)
    return found


async def _look(api: Api, caller: Credential, room_id: str, message_id: str) -> ReceiptOut:
    """Look in the archive, in Redis, and in the archive again: it may have been on its way."""
    if archived := await _archived(api, caller, room_id, message_id):
        return archived
    waiting = await api.resources.recent.buffered(room_id, most=10_000)
    if any(message.id == message_id for message in waiting):
        return ReceiptOut(room_id=room_id, message_id=message_id, state="buffered", seq=None, run_id=None, memories=[])
    if archived := await _archived(api, caller, room_id, message_id):
        return archived
    raise not_found("message")


async def _archived(api: Api, caller: Credential, room_id: str, message_id: str) -> ReceiptOut | None:
    found = await api.resources.rooms.receipts(room_id, [message_id], tenant=caller.tenant)
    if not found:
        return None
    [one] = found
    state: State = next(state for state in _LEVELS if state == one.state)
    return ReceiptOut(room_id=room_id, message_id=message_id, state=state, seq=one.seq, run_id=one.run_id, memories=[])


def _is_so_far(found: ReceiptOut, state: State) -> bool:
    return _LEVELS[found.state] >= _LEVELS[state]


def became(memory: DerivedMemory) -> Became:
    return Became(
        owner_type=memory.owner.type,
        owner_id=str(memory.owner.id),
        slug=memory.slug,
        is_current=memory.is_current and memory.content is not None,
    )
