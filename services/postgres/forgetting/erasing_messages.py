"""Erases messages of a room, with all that was made of them, and lets the rest of the room be digested again."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from uuid import UUID, uuid4

from sqlalchemy import ARRAY, BigInteger, ColumnElement, and_, cast, delete, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from services.domain.memories import Owner
from services.domain.room_owner import room_owner
from services.postgres.forgetting.erasing_memories import Derived, derived_from, erase_assertions
from services.postgres.tables.archive import (
    IS_LEFT,
    ArchivedRow,
    ChunkRow,
    ModelAnswerRow,
    QuarantineRow,
    Room,
    SummaryRow,
)
from services.postgres.tables.forgetting import ForgottenMessageRow
from services.postgres.vectors.tables import vector_tables


@dataclass(frozen=True, slots=True)
class Erased:
    """What went, by table, and the memories that lost a source: Mem0 is to follow their brains."""

    counts: dict[str, int]
    memories: list[Derived] = field(default_factory=list)


async def erase_messages(
    session: AsyncSession, room_id: str, seqs: Sequence[int], *, leaving: Owner | None = None
) -> Erased:
    """Erase these messages: they stay out for good, and what they bore out goes.

    The chunks that held them are cut anew from what is left, and so are those that are being digested: who is at work
    on one, and may have seen what is erased, finds it gone. A room of who is `leaving` goes to whoever is left in it.
    """
    await session.execute(select(Room.id).where(Room.id == room_id).with_for_update())
    # In this order, as writers of memories hold their sources before anything else.
    held = select(ArchivedRow.uid).where(ArchivedRow.room_id == room_id, ArchivedRow.seq.in_(seqs))
    uids = list(await session.scalars(held.order_by(ArchivedRow.uid).with_for_update()))
    if not uids:
        return Erased({})
    derived = await derived_from(session, uids)
    await session.execute(insert(ForgottenMessageRow).on_conflict_do_nothing(), [{"uid": uid} for uid in uids])
    counts = {"messages": len(uids), "vectors": await drop_vectors(session, uids)}
    await session.execute(delete(ArchivedRow).where(ArchivedRow.room_id == room_id, ArchivedRow.seq.in_(seqs)))
    counts |= await erase_assertions(session, derived)
    for name, number in (await _cut_anew(session, room_id, seqs)).items():
        counts[name] = counts.get(name, 0) + number
    if leaving is not None:
        await _give_to_the_next(session, room_id, leaving)
    return Erased(counts, derived)


async def drop_vectors(session: AsyncSession, items: Collection[UUID]) -> int:
    """Drop the vectors of these items, of every model; count each item once."""
    dropped: set[UUID] = set()
    for table in await vector_tables(session):
        gone = delete(table).where(table.c.item_id.in_(items)).returning(table.c.item_id)
        dropped |= set(await session.scalars(gone))
    return len(dropped)


async def drop_room(session: AsyncSession, room_id: str) -> dict[str, int]:
    """Drop what is left of a room whose messages are gone; a room that is talked in again stays."""
    await session.execute(select(Room.id).where(Room.id == room_id).with_for_update())
    if await session.scalar(select(ArchivedRow.seq).where(ArchivedRow.room_id == room_id).limit(1)) is not None:
        return {}
    counts = await _drop_chunks(session, room_id, ChunkRow.room_id == room_id)
    for table in await vector_tables(session):
        await session.execute(delete(table).where(table.c.room_id == room_id))
    gone = await session.scalars(delete(Room).where(Room.id == room_id).returning(Room.id))
    return counts | {"rooms": len(list(gone))}


async def _cut_anew(session: AsyncSession, room_id: str, seqs: Sequence[int]) -> dict[str, int]:
    gone = func.unnest(cast(list(seqs), ARRAY(BigInteger))).column_valued("seq")
    held = select(gone).where(gone.between(ChunkRow.first_seq, ChunkRow.last_seq)).exists()
    chosen = and_(ChunkRow.room_id == room_id, or_(held, IS_LEFT))
    spans = (
        await session.execute(
            select(ChunkRow.first_seq, ChunkRow.last_seq, ChunkRow.tokens)
            .where(chosen, ChunkRow.state != "split")
            .order_by(ChunkRow.first_seq)
        )
    ).all()
    counts = await _drop_chunks(session, room_id, chosen)
    counts["summaries"] += await _drop_rolling(session, room_id, min(seqs))
    cut = 0
    for span in spans:
        cut += await _cut(session, room_id, span.first_seq, span.last_seq, span.tokens)
    if not cut:
        await _roll_again(session, room_id, min(seqs))
    return counts


async def _drop_chunks(session: AsyncSession, room_id: str, chosen: ColumnElement[bool]) -> dict[str, int]:
    """With their summaries and vectors, what was answered to them, and what stands of them in quarantine."""
    chunks = list(await session.scalars(select(ChunkRow.id).where(chosen).order_by(ChunkRow.id).with_for_update()))
    summaries = list(await session.scalars(select(SummaryRow.id).where(SummaryRow.chunk_id.in_(chunks))))
    answers = select(func.count()).select_from(ModelAnswerRow).where(ModelAnswerRow.chunk_id.in_(chunks))
    answered = await session.scalar(answers) or 0
    vectors = await drop_vectors(session, summaries) if summaries else 0
    await session.execute(delete(ChunkRow).where(ChunkRow.id.in_(chunks)))
    aside = delete(QuarantineRow).where(
        QuarantineRow.kind == "chunk",
        QuarantineRow.room_id == room_id,
        QuarantineRow.source.in_([str(chunk) for chunk in chunks]),
    )
    quarantined = len(list(await session.scalars(aside.returning(QuarantineRow.id))))
    return {
        "chunks": len(chunks),
        "summaries": len(summaries),
        "model_answers": answered,
        "quarantine": quarantined,
        "summary_vectors": vectors,
    }


async def _drop_rolling(session: AsyncSession, room_id: str, first: int) -> int:
    """Drop every rolling summary that may tell of a message, and what was answered for it."""
    later = select(ChunkRow.id).where(ChunkRow.room_id == room_id, ChunkRow.last_seq >= first)
    answers = delete(ModelAnswerRow).where(ModelAnswerRow.step == "roll", ModelAnswerRow.chunk_id.in_(later))
    await session.execute(answers)
    told = (SummaryRow.room_id == room_id, SummaryRow.kind == "rolling", SummaryRow.covers_to >= first)
    return len(list(await session.scalars(delete(SummaryRow).where(*told).returning(SummaryRow.id))))


async def _cut(session: AsyncSession, room_id: str, first: int, last: int, tokens: int) -> int:
    """Put a new chunk in an old one's place, as long as messages are left there."""
    span = select(func.min(ArchivedRow.seq), func.max(ArchivedRow.seq)).where(
        ArchivedRow.room_id == room_id, ArchivedRow.seq.between(first, last)
    )
    row = (await session.execute(span)).one()
    lowest: int | None = row[0]
    highest: int | None = row[1]
    if lowest is None:
        return 0
    values = {"room_id": room_id, "first_seq": lowest, "last_seq": highest, "tokens": tokens}
    await session.execute(insert(ChunkRow).values(id=uuid4(), **values).on_conflict_do_nothing())
    return 1


async def _roll_again(session: AsyncSession, room_id: str, first: int) -> None:
    """Let the room's last chunk be digested again: nothing else would renew the rolling summary.

    The one before `first` still stands where nothing was said after it.
    """
    last = (
        select(ChunkRow.id)
        .where(ChunkRow.room_id == room_id, ChunkRow.state == "digested", ChunkRow.last_seq >= first)
        .order_by(ChunkRow.last_seq.desc())
        .limit(1)
    )
    if (found := await session.scalar(last)) is not None:
        await session.execute(update(ChunkRow).where(ChunkRow.id == found).values(state="waiting", attempts=0))


async def _give_to_the_next(session: AsyncSession, room_id: str, leaving: Owner) -> None:
    """The room of who is leaving belongs to whoever of those who are left spoke first in it."""
    first = (
        select(ArchivedRow.user_id, ArchivedRow.company_id)
        .where(
            ArchivedRow.room_id == room_id, or_(ArchivedRow.user_id.is_not(None), ArchivedRow.company_id.is_not(None))
        )
        .order_by(ArchivedRow.seq)
        .limit(1)
    )
    named = (await session.execute(first)).one_or_none()
    owner = room_owner(room_id, *named) if named else room_owner(room_id, None, None)
    theirs = (Room.id == room_id, Room.owner_type == leaving.type, Room.owner_id == leaving.id)
    await session.execute(update(Room).where(*theirs).values(_whose(owner, *(named or (None, None)))))


def _whose(owner: Owner | None, user_id: str | None, company_id: str | None) -> dict[str, object]:
    return {
        "user_id": user_id,
        "company_id": company_id,
        "owner_type": owner.type if owner else None,
        "owner_id": owner.id if owner else None,
    }
