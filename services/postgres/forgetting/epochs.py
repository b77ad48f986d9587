"""Owners' epochs: what was begun before an owner was forgotten is dropped, whoever comes late with it.

A writer enters before it writes anything about an owner, which holds a forgetting off until it has committed; what it
began before the forgetting, it is told. Locks without a row, so that nobody is written down but who was forgotten.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Text, Uuid, bindparam, cast, func, select, text
from sqlalchemy.dialects.postgresql import ARRAY, insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session

from services.domain.errors import ForgottenError
from services.domain.forgetting import owner_key
from services.domain.memories import NewMemory, Owner
from services.postgres.tables.forgetting import OwnerEpochRow

_ENTER = text("select * from afterturn_enter(:types, :ids)").bindparams(
    bindparam("types", type_=ARRAY(Text)), bindparam("ids", type_=ARRAY(Uuid))
)
# Epochs are committed in the order of their numbers.
_NUMBERS = text("select pg_advisory_xact_lock(7302118446)")
_ALONE = text("select pg_advisory_xact_lock(hashtextextended('forget ' || :type || ' ' || cast(:id as text), 0))")


@dataclass(frozen=True, slots=True)
class Epoch:
    """That an owner was forgotten: of what is in a claim from before `claimed_before`, nothing of theirs is kept."""

    number: int
    claimed_before: datetime


async def enter_all(session: AsyncSession, owners: Collection[Owner]) -> dict[tuple[str, object], Epoch]:
    """Hold off the forgetting of these owners until the transaction ends; give those that were forgotten before."""
    if not owners:
        return {}
    asked = {"types": [owner.type for owner in owners], "ids": [owner.id for owner in owners]}
    rows = await session.execute(_ENTER, asked)
    return {(row.owner_type, row.owner_id): Epoch(row.epoch, row.claimed_before) for row in rows}


def enter(session: Session, owner: Owner, epoch: int | None = None) -> int:
    """Hold off an owner's forgetting until the transaction ends, and give the epoch that the owner is in.

    Raises `ForgottenError` where the owner was forgotten after `epoch`.
    """
    row = session.execute(_ENTER, {"types": [owner.type], "ids": [owner.id]}).one_or_none()
    now = int(row.epoch) if row else 0
    if epoch is not None and now > epoch:
        raise ForgottenError(f"the {owner.type} was forgotten meanwhile")
    return now


def enter_each(session: Session, said: Sequence[tuple[Owner, NewMemory]]) -> None:
    """Enter as the writer of all these memories. Raises `ForgottenError` where one came too late."""
    owners = list(dict.fromkeys(owner for owner, _ in said))
    asked = {"types": [owner.type for owner in owners], "ids": [owner.id for owner in owners]}
    now = {(row.owner_type, row.owner_id): row.epoch for row in session.execute(_ENTER, asked)}
    for owner, memory in said:
        if memory.epoch is not None and now.get(owner_key(owner), 0) > memory.epoch:
            raise ForgottenError(f"the {owner.type} was forgotten meanwhile")


def refuse_forgotten(session: Session, memory: NewMemory) -> None:
    """Hold the messages that bear a memory out until the transaction ends.

    Raises `ForgottenError` where one of them was forgotten.
    """
    refuse_forgotten_each(session, [memory])


def refuse_forgotten_each(session: Session, memories: Sequence[NewMemory]) -> None:
    """Hold the messages that bear out any of these memories, as `refuse_forgotten` does."""
    sources = sorted({uid for memory in memories for uid in memory.sources})
    if sources and session.scalar(select(func.afterturn_forgotten(cast(sources, ARRAY(Uuid))))):
        raise ForgottenError("a message that bears it out was forgotten")


async def current(session: AsyncSession) -> int:
    """Give the newest epoch of all: whoever reads something now may be told by it later that it was forgotten."""
    return await session.scalar(select(func.coalesce(func.max(OwnerEpochRow.epoch), 0))) or 0


async def begin(session: AsyncSession, owner: Owner, *, claimed_before: datetime) -> int:
    """Begin a new epoch of an owner when all who write about them have committed; the transaction must end at once."""
    row = OwnerEpochRow
    type_, id_ = owner_key(owner)
    await session.execute(_ALONE, {"type": type_, "id": str(id_)})
    await session.execute(_NUMBERS)
    number = await current(session) + 1
    values = {"epoch": number, "claimed_before": claimed_before, "forgotten_at": func.clock_timestamp()}
    await session.execute(
        insert(row)
        .values(owner_type=type_, owner_id=id_, **values)
        .on_conflict_do_update(index_elements=[row.owner_type, row.owner_id], set_=values)
    )
    return number
