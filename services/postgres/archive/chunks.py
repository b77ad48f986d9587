"""Cuts the archive into chunks and keeps their states."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID, uuid4

from sqlalchemy import Integer, Row, Update, cast, delete, exists, func, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from services.domain.chunking import Chunk, cut, split
from services.domain.errors import TransientError
from services.domain.ids import quarantine_id
from services.domain.memories import Owner
from services.domain.messages import ArchivedMessage
from services.domain.room_owner import room_owner
from services.postgres.archive.messages import read_messages
from services.postgres.database import Database
from services.postgres.tables.archive import IS_LEFT, ChunkRow, QuarantineRow, Room, SummaryRow

# What one cut reads at most; a longer tail is cut when these chunks are digested.
CUT_MESSAGES = 2_000
CHUNK_GONE = "the chunk is gone: messages of it were forgotten"


_FoundChunk = Row[UUID, str, int, int, str, str | None, str | None]


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


_WITH_ROOM = select(
    ChunkRow.id, ChunkRow.room_id, ChunkRow.first_seq, ChunkRow.last_seq, ChunkRow.state, Room.user_id, Room.company_id
).join(Room, Room.id == ChunkRow.room_id)
# Who was digested was asked a model for not long before: those answers have an index.
_COUNT_AMONG_OTHERS = text("""
update chunks set
    attempts = attempts + cast(others.digested as integer),
    failed_at = case when failed_at is null or others.digested then now() else failed_at end
from (
    select exists (
        select from chunks as failing
        join model_answers as answer on answer.created_at > failing.failed_at - interval '1 hour'
        join chunks as other on other.id = answer.chunk_id
        where failing.id = :chunk and other.id <> :chunk and other.digested_at > failing.failed_at
    ) as digested
) as others
where id = :chunk
returning attempts
""")


class Chunks:
    def __init__(self, database: Database, *, max_tokens: int, max_messages: int) -> None:
        self._database = database
        self._max_tokens = max_tokens
        self._max_messages = max_messages
        self._characters = 4 * max_tokens

    async def next_waiting(self, room_id: str) -> WaitingChunk | None:
        """Give the room's first chunk that is left to digest; what no chunk covers yet is cut first, once."""
        async with self._database.transaction() as session:
            return await self.next_in(session, room_id)

    async def next_in(self, session: AsyncSession, room_id: str) -> WaitingChunk | None:
        """Do as `next_waiting` in the transaction that is open."""
        first = _WITH_ROOM.where(ChunkRow.room_id == room_id, IS_LEFT).order_by(ChunkRow.first_seq).limit(1)
        row, read = (await session.execute(first)).one_or_none(), list[ArchivedMessage]()
        if row is None and (read := await self._cut_new(session, room_id)):
            row = (await session.execute(first)).one_or_none()
        if row is None:
            return None
        messages = [message for message in read if row.first_seq <= message.seq <= row.last_seq]
        if not messages or any(len(message.content) >= self._characters for message in messages):
            messages = await read_messages(session, room_id, after=row.first_seq - 1, until=row.last_seq)
        return _waiting(row, messages)

    async def _cut_new(self, session: AsyncSession, room_id: str) -> list[ArchivedMessage]:
        """Cut what no chunk covers yet; give its messages, of which those that are long have lost their ends."""
        chunked = await session.scalar(
            select(Room.chunked_seq).where(Room.id == room_id, Room.chunked_seq < Room.last_seq).with_for_update()
        )
        if chunked is None:
            return []
        # What is longer than a chunk is one of its own, however long: its beginning tells enough.
        messages = await read_messages(session, room_id, after=chunked, limit=CUT_MESSAGES, characters=self._characters)
        chunks = cut(messages, max_tokens=self._max_tokens, max_messages=self._max_messages) if messages else []
        # Of what was forgotten before it was cut only the numbers are left.
        until = chunks[-1].last_seq if chunks else Room.last_seq
        if chunks:
            await _insert(session, room_id, chunks)
        await session.execute(update(Room).where(Room.id == room_id).values(chunked_seq=until))
        return messages

    async def find_extracted(self, chunk: UUID) -> WaitingChunk | None:
        """Give a chunk whose memories are to be saved; None when that was done."""
        async with self._database.transaction() as session:
            extracted = _WITH_ROOM.where(ChunkRow.id == chunk, ChunkRow.state == "extracted")
            row = (await session.execute(extracted)).one_or_none()
            if row is None:
                return None
            messages = await read_messages(session, row.room_id, after=row.first_seq - 1, until=row.last_seq)
        return _waiting(row, messages)

    async def count_waiting(self, room_id: str, *, besides: UUID | None = None) -> int:
        """Count the chunks still to digest, `besides` one; messages that no chunk covers count as one."""
        waiting = select(func.count()).where(
            ChunkRow.room_id == room_id, IS_LEFT, ChunkRow.id.is_distinct_from(besides)
        )
        uncut = exists().where(Room.id == room_id, Room.chunked_seq < Room.last_seq)
        async with self._database.transaction() as session:
            return await session.scalar(select(waiting.scalar_subquery() + cast(uncut, Integer))) or 0

    async def extracted(self, chunk: WaitingChunk, *, run_id: str) -> int:
        """Let it wait for its memories to be saved, and for nothing else; count the others, as `count_waiting` does."""
        values = {"state": "extracted", "run_id": run_id}
        changed = update(ChunkRow).where(ChunkRow.id == chunk.id, ChunkRow.state == "waiting").values(values)
        return await self._change_and_count(chunk, changed)

    async def wait_again(self, chunk: WaitingChunk) -> int:
        """Let an extracted chunk be digested again; count what is left of its room, it included."""
        async with self._database.transaction() as session:
            again = update(ChunkRow).where(ChunkRow.id == chunk.id, ChunkRow.state == "extracted")
            await session.execute(again.values(state="waiting", attempts=0))
        return await self.count_waiting(chunk.room_id)

    async def count_left_beside(self, chunk: UUID) -> int:
        """Count as `count_waiting` in the room of a chunk that is done; one perhaps, where the chunk was cut anew."""
        async with self._database.transaction() as session:
            room_id = await session.scalar(select(ChunkRow.room_id).where(ChunkRow.id == chunk))
        return 1 if room_id is None else await self.count_waiting(room_id, besides=chunk)

    async def digested(self, chunk: WaitingChunk, *, run_id: str) -> int:
        """Call it digested, and count the others, as `count_waiting` does."""
        values = {"state": "digested", "digested_at": func.now(), "run_id": run_id}
        return await self._change_and_count(
            chunk, update(ChunkRow).where(ChunkRow.id == chunk.id, IS_LEFT).values(values)
        )

    async def _change_and_count(self, chunk: WaitingChunk, changed: Update) -> int:
        async with self._database.transaction() as session:
            await session.execute(changed)
        # Not before the commit: whoever archived until then has seen the chunk at work, and leaves the rest to us.
        return await self.count_waiting(chunk.room_id, besides=chunk.id)

    async def count_failure(self, chunk: UUID) -> int:
        """Count a failure that may be the chunk's own; answer how many there were in a row."""
        async with self._database.transaction() as session:
            attempts = await session.scalar(
                update(ChunkRow)
                .where(ChunkRow.id == chunk)
                .values(attempts=ChunkRow.attempts + 1)
                .returning(ChunkRow.attempts)
            )
        return attempts or 0

    async def count_failure_among_others(self, chunk: UUID) -> int:
        """Count a failure, if another chunk was digested since the one before; answer how many were counted in a row.

        So the first is not counted, and none is while nothing can be digested.
        """
        async with self._database.transaction() as session:
            return await session.scalar(_COUNT_AMONG_OTHERS, {"chunk": chunk}) or 0

    async def trust(self, chunk: UUID) -> None:
        """Forget its failures: they were not its own."""
        async with self._database.transaction() as session:
            await session.execute(
                update(ChunkRow).where(ChunkRow.id == chunk, ChunkRow.attempts > 0).values(attempts=0, failed_at=None)
            )

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
            await _set_aside(session, chunk.id, state="split")
            await _drop_summaries(session, chunk.id)
            await _insert(session, chunk.room_id, pieces)
        return True

    async def quarantine(
        self, chunk: WaitingChunk, *, reason: str, detail: str, run_id: str, keep_summaries: bool = False
    ) -> None:
        """Set the chunk aside with its reason; its messages stay in the archive."""
        values = {"reason": reason, "detail": detail, "run_id": run_id}
        async with self._database.transaction() as session:
            await _set_aside(session, chunk.id, state="quarantined", run_id=run_id)
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


def _waiting(row: _FoundChunk, messages: Sequence[ArchivedMessage]) -> WaitingChunk:
    owner = room_owner(row.room_id, row.user_id, row.company_id)
    return WaitingChunk(row.id, row.room_id, tuple(messages), extracted=row.state == "extracted", owner=owner)


async def hold_chunk(session: AsyncSession, chunk: UUID) -> None:
    """Keep a chunk from being forgotten until the transaction ends. Raises `TransientError` where it is gone."""
    held = select(ChunkRow.id).where(ChunkRow.id == chunk).with_for_update(key_share=True, read=True)
    if await session.scalar(held) is None:
        raise TransientError(CHUNK_GONE)


async def _set_aside(session: AsyncSession, chunk: UUID, **values: object) -> None:
    """Raises `TransientError` where the chunk is gone, for messages of it were forgotten, or where another is done."""
    change = update(ChunkRow).where(ChunkRow.id == chunk, IS_LEFT).values(values)
    if await session.scalar(change.returning(ChunkRow.id)) is None:
        raise TransientError(CHUNK_GONE)


async def _drop_summaries(session: AsyncSession, chunk: UUID) -> None:
    """Take back what was saved before the chunk failed: its halves, or a redrive, say it again."""
    await session.execute(delete(SummaryRow).where(SummaryRow.chunk_id == chunk))


async def _insert(session: AsyncSession, room_id: str, chunks: Sequence[Chunk]) -> None:
    rows = [
        {
            # Never one that was used before: late answers to a chunk that was forgotten must not find another one.
            "id": uuid4(),
            "room_id": room_id,
            "first_seq": chunk.first_seq,
            "last_seq": chunk.last_seq,
            "tokens": chunk.tokens,
        }
        for chunk in chunks
    ]
    await session.execute(insert(ChunkRow).on_conflict_do_nothing(), rows)
