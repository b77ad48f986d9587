"""`DELETE /v1/rooms/{room_id}/messages/{message_id}`."""

from fastapi import APIRouter

from services.credential import Credential
from services.domain.memories import owner_of
from services.memories.deleting import MessageDeletion, Place
from services.memory_api.api import Api
from services.memory_api.documented import problems
from services.memory_api.fields import IdPath, RoomPath
from services.memory_api.guard import ApiParam, Writer
from services.memory_api.problems import ProblemError, forbidden, not_found
from services.postgres.archive.room_reading import RoomLine

router = APIRouter(prefix="/v1/rooms", tags=["Messages"])


@router.delete(
    "/{room_id}/messages/{message_id}", status_code=204, responses=problems(404, 409), summary="Delete a message"
)
async def delete(room_id: RoomPath, message_id: IdPath, api: ApiParam, caller: Writer) -> None:
    """Delete a message for good, with what was derived from it: vectors, what it alone bore out, and summaries.

    The room's summaries are made again from what is left. A message that is still buffered is a conflict: wait until it
    is archived.
    """
    room = await api.access.room(caller, room_id)
    deletion = MessageDeletion(api.resources.database, api.resources.memory_store)
    place = await deletion.find(room_id, message_id, tenant=caller.tenant)
    if place is None:
        waiting = await api.resources.recent.buffered(room_id, most=10_000)
        if any(message.id == message_id for message in waiting):
            raise ProblemError(409, "The message is not archived yet.", headers={"Retry-After": "5"})
        raise not_found("message")
    await _may_delete(api, caller, room, place)
    await deletion.delete(place)
    await api.redriving.wake(room_id)


async def _may_delete(api: Api, caller: Credential, room: RoomLine | None, place: Place) -> None:
    """Let people delete in their own rooms and what they said; in a company's room, whoever speaks for it."""
    tenant = caller.tenant
    if tenant is None or room is None or room.owner is None or room.owner.id == tenant.user_id:
        return
    said_by = owner_of("user", place.user_id).id if place.user_id is not None else None
    if said_by is not None and said_by == tenant.user_id:
        return
    if room.owner.id != await api.access.spoken_for(caller):
        raise forbidden("The message is somebody else's, and this credential does not speak for the company.")
