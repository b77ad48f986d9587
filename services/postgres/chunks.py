"""Cuts the archive into chunks and keeps their states."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Row, and_, delete, exists, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from services.domain.chunking import Chunk, cut, split
from services.domain.ids import chunk_id, quarantine_id
from services.domain.memories import Owner
from services.domain.messages import ArchivedMessage
from services.domain.room_owner import room_owner
from services.postgres.database import Database
from services.postgres.tables import ArchivedRow, ChunkRow, QuarantineRow, Room, SummaryRow

# What one cut reads at most; a longer tail is cut when these chunks are digested.
CUT_MESSAGES = 2_000


@dataclass(frozen=True, slots=True)
class WaitingChunk:
    """A chunk to digest, with its messages; of one that is `extracted` only the memories are left to save.

    `owner` is whose room it is, where that is known.
    """

    id: UUID
    room_id: str
    messages: tuple[ArchivedMessage, ...]
    extracted: bool = False
    owner: Owner | None = None

    @property
    def tenant(self) -> str:
        """Who has to answer for what its models cost."""
        return str(self.owner or self.room_id)


_LEFT = ChunkRow.state.in_(("waiting", "extracted"))


class Chunks:
    def __init__(self, database: Database, *, max_tokens: int, max_messages: int) -> None:
        self._database = database
        self._max_tokens = max_tokens
        self._max_messages = max_messages

    async def cut_new(self, room_id: str) -> int:
        """Cut what no chunk covers yet, once; answer how many chunks were made."""
        async with self._database.transaction() as session:
            chunked = await session.scalar(
                select(Room.chunked_seq).where(Room.id == room_id, Room.chunked_seq < Room.last_seq).with_for_update()
            )
            if chunked is None:
                return 0
            # What is longer than a chunk is one of its own, however long: its beginning tells enough.
            messages = await read_messages(
                session, room_id, after=chunked, limit=CUT_MESSAGES, characters=4 * self._max_tokens
            )
            chunks = cut(messages, max_tokens=self._max_tokens, max_messages=self._max_messages)
            await _insert(session, room_id, chunks)
            await session.execute(update(Room).where(Room.id == room_id).values(chunked_seq=chunks[-1].last_seq))
        return len(chunks)

    async def next_waiting(self, room_id: str) -> WaitingChunk | None:
        async with self._database.transaction() as session:
            row = await session.scalar(
                select(ChunkRow).where(ChunkRow.room_id == room_id, _LEFT).order_by(ChunkRow.first_seq).limit(1)
            )
            return await _with_messages(session, row) if row else None

    async def find_extracted(self, chunk: UUID) -> WaitingChunk | None:
        """Give a chunk whose memories are to be saved; None when that was done."""
        async with self._database.transaction() as session:
            row = await session.get(ChunkRow, chunk)
            return await _with_messages(session, row) if row and row.state == "extracted" else None

    async def count_waiting(self, room_id: str, *, besides: UUID | None = None) -> int:
        """Count the chunks still to digest, `besides` one; messages that no chunk covers count as one."""
        async with self._database.transaction() as session:
            waiting = await session.scalar(
                select(func.count()).where(ChunkRow.room_id == room_id, _LEFT, ChunkRow.id.is_distinct_from(besides))
            )
            uncut = await session.scalar(select(exists().where(Room.id == room_id, Room.chunked_seq < Room.last_seq)))
        return (waiting or 0) + int(bool(uncut))

    async def extracted(self, chunk: UUID, *, run_id: str) -> None:
        """Let it wait for its memories to be saved, and for nothing else."""
        async with self._database.transaction() as session:
            await session.execute(
                update(ChunkRow)
                .where(ChunkRow.id == chunk, ChunkRow.state == "waiting")
                .values(state="extracted", run_id=run_id)
            )

    async def digested(self, chunk: UUID, *, run_id: str) -> None:
        async with self._database.transaction() as session:
            await session.execute(
                update(ChunkRow)
                .where(ChunkRow.id == chunk, _LEFT)
                .values(state="digested", digested_at=func.now(), run_id=run_id)
            )

    async def count_failure(self, chunk: UUID) -> int:
        """Count a failure that may pass; answer how many there were in a row."""
        async with self._database.transaction() as session:
            attempts = await session.scalar(
                update(ChunkRow)
                .where(ChunkRow.id == chunk)
                .values(attempts=ChunkRow.attempts + 1)
                .returning(ChunkRow.attempts)
            )
        return attempts or 0

    async def split(self, chunk: WaitingChunk) -> bool:
        """Put two halves in the chunk's place; False when it is a single message."""
        halves = split(chunk.messages)
        if halves is None:
            return False
        pieces = [
            piece
            for half in halves
            for piece in cut(half, max_tokens=self._max_tokens, max_messages=self._max_messages)
        ]
        async with self._database.transaction() as session:
            await session.execute(update(ChunkRow).where(ChunkRow.id == chunk.id).values(state="split"))
            await _drop_summaries(session, chunk.id)
            await _insert(session, chunk.room_id, pieces)
        return True

    async def quarantine(
        self, chunk: WaitingChunk, *, reason: str, detail: str, run_id: str, keep_summaries: bool = False
    ) -> None:
        """Set the chunk aside with its reason; its messages stay in the archive."""
        values = {"reason": reason, "detail": detail, "run_id": run_id}
        async with self._database.transaction() as session:
            await session.execute(
                update(ChunkRow).where(ChunkRow.id == chunk.id).values(state="quarantined", run_id=run_id)
            )
            if not keep_summaries:
                await _drop_summaries(session, chunk.id)
            await session.execute(
                insert(QuarantineRow)
                .values(
                    id=quarantine_id(str(chunk.id), 0),
                    kind="chunk",
                    room_id=chunk.room_id,
                    source=str(chunk.id),
                    position=0,
                    **values,
                )
                .on_conflict_do_update(
                    index_elements=["id"], set_={**values, "state": "open", "tries": QuarantineRow.tries + 1}
                )
            )


async def read_messages(
    session: AsyncSession,
    room_id: str,
    *,
    after: int = 0,
    until: int | None = None,
    limit: int | None = None,
    characters: int | None = None,
) -> list[ArchivedMessage]:
    """Read a room's messages in order: those numbered above `after`, up to and with `until`.

    `characters` cuts their content short.
    """
    wanted: ColumnElement[bool] = and_(ArchivedRow.room_id == room_id, ArchivedRow.seq > after)
    if until is not None:
        wanted = and_(wanted, ArchivedRow.seq <= until)
    rows = await session.execute(
        select(
            ArchivedRow.room_id,
            ArchivedRow.seq,
            ArchivedRow.id,
            ArchivedRow.role,
            (func.left(ArchivedRow.content, characters) if characters else ArchivedRow.content).label("content"),
            ArchivedRow.user_id,
            ArchivedRow.sent_at,
            ArchivedRow.tool_calls,
            ArchivedRow.remember,
        )
        .where(wanted)
        .order_by(ArchivedRow.seq)
        .limit(limit)
    )
    return [archived_message(row) for row in rows]


async def _with_messages(session: AsyncSession, row: ChunkRow) -> WaitingChunk:
    messages = await read_messages(session, row.room_id, after=row.first_seq - 1, until=row.last_seq)
    room = await session.get_one(Room, row.room_id)
    owner = room_owner(room.id, room.user_id, room.company_id)
    return WaitingChunk(row.id, row.room_id, tuple(messages), extracted=row.state == "extracted", owner=owner)


async def _drop_summaries(session: AsyncSession, chunk: UUID) -> None:
    """Take back what was saved before the chunk failed: its halves, or a redrive, say it again."""
    await session.execute(delete(SummaryRow).where(SummaryRow.chunk_id == chunk))


def archived_message(row: ArchivedRow | Row[Any]) -> ArchivedMessage:
    return ArchivedMessage(
        room_id=row.room_id,
        seq=row.seq,
        id=row.id,
        role=row.role,
        content=row.content,
        user_id=row.user_id,
        sent_at=row.sent_at,
        tool_calls=tuple(row.tool_calls),
        remember=row.remember,
    )


async def _insert(session: AsyncSession, room_id: str, chunks: Sequence[Chunk]) -> None:
    rows = [
        {
            "id": chunk_id(room_id, chunk.first_seq, chunk.last_seq),
            "room_id": room_id,
            "first_seq": chunk.first_seq,
            "last_seq": chunk.last_seq,
            "tokens": chunk.tokens,
        }
        for chunk in chunks
    ]
    await session.execute(insert(ChunkRow).on_conflict_do_nothing(), rows)
