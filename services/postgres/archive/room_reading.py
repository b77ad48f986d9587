"""Reads rooms as a tenant sees them: whose they are, which there are, and what was said in them."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, cast

from sqlalchemy import BigInteger, ColumnElement, and_, case, func, or_, select, true
from sqlalchemy import cast as sql_cast
from sqlalchemy.ext.asyncio import AsyncSession

from services.domain.memories import Owner, OwnerType
from services.domain.messages import ArchivedMessage
from services.postgres.archive.messages import archived_message
from services.postgres.database import Database, Tenant
from services.postgres.tables.archive import ArchivedRow, ChunkRow, Room

MessageState = Literal["archived", "digested", "quarantined"]


@dataclass(frozen=True, slots=True)
class RoomLine:
    """A room in numbers, with whose it is where that is known; `last_seq` is its last message's number."""

    room_id: str
    owner: Owner | None
    last_seq: int
    digested: int
    quarantined: int
    created_at: datetime
    last_archived_at: datetime


@dataclass(frozen=True, slots=True)
class Said:
    """An archived message with what became of it."""

    message: ArchivedMessage
    state: MessageState


class RoomReading:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def find(self, room_id: str, *, tenant: Tenant | None = None) -> RoomLine | None:
        """Give a room; None where there is none that the tenant sees."""
        found = await self._lines(Room.id == room_id, limit=1, tenant=tenant)
        return found[0] if found else None

    async def page(
        self, *, after: tuple[datetime, str] | None = None, limit: int = 100, tenant: Tenant | None = None
    ) -> list[RoomLine]:
        """Page through the rooms, the one that was written to last first; `after` names the last one seen."""
        if after is None:
            return await self._lines(true(), limit=limit, tenant=tenant)
        at, room_id = after
        older = or_(Room.last_archived_at < at, and_(Room.last_archived_at == at, Room.id > room_id))
        return await self._lines(older, limit=limit, tenant=tenant)

    async def newest(self, room_id: str, limit: int, *, tenant: Tenant | None = None) -> list[ArchivedMessage]:
        """Give the last messages, oldest first."""
        wanted = select(*_MESSAGE).where(ArchivedRow.room_id == room_id).order_by(ArchivedRow.seq.desc()).limit(limit)
        async with self._database.transaction(tenant) as session:
            return [archived_message(row) for row in await session.execute(wanted)][::-1]

    async def messages(
        self, room_id: str, *, after: int = 0, limit: int = 100, tenant: Tenant | None = None
    ) -> list[Said]:
        """Page through a room's messages in their order."""
        state = case((ChunkRow.state.in_(("digested", "quarantined")), ChunkRow.state), else_="archived")
        wanted = (
            select(*_MESSAGE, state.label("state"))
            .outerjoin(ChunkRow, _COVERS)
            .where(ArchivedRow.room_id == room_id, ArchivedRow.seq > after)
            .order_by(ArchivedRow.seq)
            .limit(limit)
        )
        async with self._database.transaction(tenant) as session:
            return [Said(archived_message(row), row.state) for row in await session.execute(wanted)]

    async def _lines(self, which: ColumnElement[bool], *, limit: int, tenant: Tenant | None) -> list[RoomLine]:
        rooms = select(Room).where(which).order_by(Room.last_archived_at.desc(), Room.id).limit(limit)
        async with self._database.transaction(tenant) as session:
            found = list(await session.scalars(rooms))
            covered = await _covered(session, [room.id for room in found])
            return [_line(room, covered[room.id]) for room in found]


_MESSAGE = (
    ArchivedRow.room_id,
    ArchivedRow.seq,
    ArchivedRow.id,
    ArchivedRow.role,
    ArchivedRow.content,
    ArchivedRow.user_id,
    ArchivedRow.sent_at,
    ArchivedRow.tool_calls,
    ArchivedRow.remember,
)
_COVERS = and_(
    ChunkRow.room_id == ArchivedRow.room_id,
    ChunkRow.first_seq <= ArchivedRow.seq,
    ChunkRow.last_seq >= ArchivedRow.seq,
    ChunkRow.state != "split",
)


async def _covered(session: AsyncSession, rooms: Sequence[str]) -> dict[str, dict[str, int]]:
    """Count the messages of each room that are in chunks of each state."""
    length = sql_cast(func.sum(ChunkRow.last_seq - ChunkRow.first_seq + 1), BigInteger)
    counted = await session.execute(
        select(ChunkRow.room_id, ChunkRow.state, length)
        .where(ChunkRow.room_id.in_(rooms))
        .group_by(ChunkRow.room_id, ChunkRow.state)
    )
    covered = defaultdict[str, dict[str, int]](dict)
    for room_id, state, messages in counted:
        covered[room_id][state] = messages
    return covered


def _line(room: Room, covered: dict[str, int]) -> RoomLine:
    owner = Owner(cast("OwnerType", room.owner_type), room.owner_id) if room.owner_id else None
    return RoomLine(
        room_id=room.id,
        owner=owner,
        last_seq=room.last_seq,
        digested=covered.get("digested", 0),
        quarantined=covered.get("quarantined", 0),
        created_at=room.created_at,
        last_archived_at=room.last_archived_at,
    )
