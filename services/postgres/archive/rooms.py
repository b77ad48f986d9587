"""Reads rooms, their messages and what came of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import BigInteger, ColumnElement, and_, cast, exists, func, or_, select

from services.domain.messages import ArchivedMessage
from services.postgres.archive.messages import read_messages
from services.postgres.database import Database, Tenant
from services.postgres.tables.archive import IS_LEFT, ArchivedRow, ChunkRow, Room
from services.postgres.tables.imports import ImportedRoomRow


@dataclass(frozen=True, slots=True)
class RoomState:
    """A room in numbers. `undigested` counts the archived messages that are not digested yet."""

    room_id: str
    messages: int
    digested: int
    quarantined: int
    last_archived_at: datetime

    @property
    def undigested(self) -> int:
        return self.messages - self.digested - self.quarantined


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of a message: `archived`, `digested` or `quarantined`, with the run that did it."""

    message_id: str
    seq: int
    state: str
    run_id: str


class Rooms:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def list_rooms(self, *, room_id: str | None = None, limit: int = 1_000) -> list[RoomState]:
        """Give the rooms, the one that was written to last first."""
        length = ChunkRow.last_seq - ChunkRow.first_seq + 1

        def covered(*states: str) -> ColumnElement[int]:
            return cast(func.coalesce(func.sum(length).filter(ChunkRow.state.in_(states)), 0), BigInteger)

        # Not the last number: those of what was forgotten are not given out again.
        messages = covered("waiting", "extracted", "digested", "quarantined") + Room.last_seq - Room.chunked_seq
        wanted = (
            select(Room.id, messages, covered("digested"), covered("quarantined"), Room.last_archived_at)
            .outerjoin(ChunkRow, ChunkRow.room_id == Room.id)
            .group_by(Room.id)
            .order_by(Room.last_archived_at.desc(), Room.id)
            .limit(limit)
        )
        if room_id is not None:
            wanted = wanted.where(Room.id == room_id)
        async with self._database.transaction() as session:
            return [RoomState(*row) for row in await session.execute(wanted)]

    async def messages(self, room_id: str, *, after: int = 0, limit: int | None = None) -> list[ArchivedMessage]:
        async with self._database.transaction() as session:
            return await read_messages(session, room_id, after=after, limit=limit)

    async def receipts(
        self, room_id: str, message_ids: Sequence[str] | None = None, *, tenant: Tenant | None = None
    ) -> list[Receipt]:
        """Give the receipts of a room's archived messages, or of some of them, in the room's order."""
        covers = and_(
            ChunkRow.room_id == ArchivedRow.room_id,
            ChunkRow.first_seq <= ArchivedRow.seq,
            ChunkRow.last_seq >= ArchivedRow.seq,
            ChunkRow.state != "split",
        )
        wanted = (
            select(ArchivedRow.id, ArchivedRow.seq, ChunkRow.state, ChunkRow.run_id, ArchivedRow.run_id)
            .outerjoin(ChunkRow, covers)
            .where(ArchivedRow.room_id == room_id)
            .order_by(ArchivedRow.seq)
        )
        if message_ids is not None:
            wanted = wanted.where(ArchivedRow.id.in_(message_ids))
        async with self._database.transaction(tenant) as session:
            return [
                Receipt(
                    message_id,
                    seq,
                    state if state in ("digested", "quarantined") else "archived",
                    (digested_by if state in ("digested", "quarantined") else None) or archived_by,
                )
                for message_id, seq, state, digested_by, archived_by in await session.execute(wanted)
            ]

    async def last_seq(self, room_id: str) -> int:
        async with self._database.transaction() as session:
            return await session.scalar(select(Room.last_seq).where(Room.id == room_id)) or 0

    async def undigested(self, *, after: str = "", limit: int = 500) -> list[str]:
        """Page through the rooms that have something to digest, by id."""
        waiting = select(ChunkRow.room_id).where(ChunkRow.room_id == Room.id, IS_LEFT).exists()
        wanted = (
            select(Room.id)
            .where(Room.id > after, or_(Room.chunked_seq < Room.last_seq, waiting))
            .order_by(Room.id)
            .limit(limit)
        )
        async with self._database.transaction() as session:
            return list(await session.scalars(wanted))

    async def has_live_chunk(self, room_id: str) -> bool:
        """Tell whether a chunk is to be digested yet, in a room that no import brought messages for."""
        waiting = exists().where(ChunkRow.room_id == room_id, IS_LEFT)
        imported = exists().where(ImportedRoomRow.room_id == room_id)
        async with self._database.transaction() as session:
            return bool(await session.scalar(select(and_(waiting, ~imported))))
