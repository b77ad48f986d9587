"""A room's last messages, those that are still buffered in Redis included."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from afterturn_client.errors import BadEntryError
from afterturn_client.messages import decode_entry
from afterturn_client.rooms import user_of_room

from services.domain.messages import ArchivedMessage
from services.postgres.archive.room_reading import RoomReading
from services.postgres.database import Tenant
from services.room_buffer.buffer import RoomBuffer


@dataclass(frozen=True, slots=True)
class RecentMessage:
    """A message of the archive, or one that has no `seq` yet; one that came without an id gets it with its number."""

    room_id: str
    seq: int | None
    id: str | None
    role: str
    content: str
    user_id: str | None
    company_id: str | None
    sent_at: datetime | None
    tool_calls: tuple[dict[str, Any], ...]
    remember: bool

    @property
    def is_buffered(self) -> bool:
        return self.seq is None


class RecentMessages:
    def __init__(self, buffer: RoomBuffer, reading: RoomReading) -> None:
        self._buffer = buffer
        self._reading = reading

    async def newest(self, room_id: str, limit: int, *, tenant: Tenant | None = None) -> list[RecentMessage]:
        """Give the last messages, oldest first. Whether the tenant may see what is buffered is for the caller to say.

        The buffer is read before the archive: what is archived in between is found twice rather than not at all.
        """
        waiting = await self.buffered(room_id, most=limit)
        archived = await self._reading.newest(room_id, limit, tenant=tenant)
        return [*map(_archived, archived), *without_known(waiting, archived)][-limit:]

    async def archived(self, room_id: str, limit: int, *, tenant: Tenant | None = None) -> list[RecentMessage]:
        """Give the last messages of the archive alone, oldest first."""
        return [_archived(message) for message in await self._reading.newest(room_id, limit, tenant=tenant)]

    async def buffered(self, room_id: str, *, most: int = 1_000) -> list[RecentMessage]:
        """Give what no archive has yet, oldest first; entries that are no messages are left out."""
        found = [_read(room_id, raw) for raw in await self._buffer.buffered(room_id, most=most)]
        return [message for message in found if message is not None]


def without_known(buffered: list[RecentMessage], archived: list[ArchivedMessage]) -> list[RecentMessage]:
    """Leave out what is archived already: a claim stays in Redis until it is."""
    known = {message.id for message in archived}
    return [message for message in buffered if message.id is None or message.id not in known]


def _archived(message: ArchivedMessage) -> RecentMessage:
    return RecentMessage(
        room_id=message.room_id,
        seq=message.seq,
        id=message.id,
        role=message.role,
        content=message.content,
        user_id=message.user_id,
        company_id=None,
        sent_at=message.sent_at,
        tool_calls=message.tool_calls,
        remember=message.remember,
    )


def _read(room_id: str, raw: bytes) -> RecentMessage | None:
    try:
        message = decode_entry(raw)
    except BadEntryError:
        return None
    return RecentMessage(
        room_id=room_id,
        seq=None,
        id=message.id,
        role=message.role,
        content=message.content,
        user_id=message.user_id or user_of_room(room_id),
        company_id=message.company_id,
        sent_at=message.sent_at,
        tool_calls=tuple(message.tool_calls),
        remember=message.remember,
    )
