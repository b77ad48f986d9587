"""Keeps what is under way in Mem0, and who is at it: one writer at a time for each brain record."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Delete, Update, delete, func, or_, select, union_all, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from services.domain.errors import TransientError
from services.domain.memories import Owner, brain_id
from services.postgres.tables.memories import CompanyBrainRow, Mem0IntentRow, UserBrainRow

_CLAIM_LOCK = 730_211
_Row = Mem0IntentRow


class LeaseLostError(TransientError):
    """Another writer took over, for this one was silent too long: nothing of it may be committed."""


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to write one brain record in Mem0 until it ends.

    `doubt` says that somebody was at it before and may have left something in Mem0; `memory_id` is what they left, so
    far as they could tell.
    """

    brain_id: UUID
    token: UUID
    doubt: bool = False
    memory_id: str | None = None


@dataclass(frozen=True, slots=True)
class Intent:
    """What somebody began or a cascade left. Nobody has been at one that `is_abandoned` for the grace time."""

    brain_id: UUID
    slug: str
    action: str
    entity_id: str | None
    memory_id: str | None
    payload: dict[str, Any]
    is_abandoned: bool


@dataclass(frozen=True, slots=True)
class Asked:
    """A lease that a writer asks for: `token` is the writer's own, chosen before, so that it can be given back always.

    Without a payload the one that stands is kept.
    """

    token: UUID
    entity_id: str
    seconds: float
    payload: Mapping[str, Any] | None = None


async def take(session: AsyncSession, owner: Owner, slug: str, asked: Asked) -> Lease | None:
    """Write down what is about to be done in Mem0; None while somebody else is at it."""
    wanted = insert(_Row).values(
        brain_id=brain_id(owner, slug),
        action="save",
        owner_type=owner.type,
        owner_id=owner.id,
        slug=slug,
        entity_id=asked.entity_id,
        payload=dict(asked.payload or {}),
        lease_token=asked.token,
        lease_until=_after(asked.seconds),
    )
    changes = {"action": wanted.excluded.action, "entity_id": wanted.excluded.entity_id}
    changes |= {"payload": wanted.excluded.payload} if asked.payload is not None else {}
    taken = await session.execute(
        wanted.on_conflict_do_update(
            index_elements=[_Row.brain_id],
            set_={
                **changes,
                "attempts": _Row.attempts + 1,
                "lease_token": asked.token,
                "lease_until": wanted.excluded.lease_until,
                "updated_at": func.clock_timestamp(),
            },
            where=_is_free(),
        ).returning(_Row.attempts, _Row.memory_id)
    )
    row = taken.one_or_none()
    return None if row is None else Lease(brain_id(owner, slug), asked.token, row.attempts > 0, row.memory_id)


async def exists(session: AsyncSession, brain: UUID) -> bool:
    return await session.scalar(select(_Row.brain_id).where(_Row.brain_id == brain)) is not None


async def of_owner(session: AsyncSession, owner: Owner, *, grace_seconds: float) -> list[Intent]:
    old = _Row.updated_at < func.clock_timestamp() - _seconds(grace_seconds)
    columns = (_Row.brain_id, _Row.slug, _Row.action, _Row.entity_id, _Row.memory_id, _Row.payload)
    wanted = select(*columns, _is_free() & old).where(_Row.owner_type == owner.type, _Row.owner_id == owner.id)
    return [Intent(*found) for found in await session.execute(wanted.order_by(_Row.slug))]


async def claim(session: AsyncSession, lease: Lease, memory_id: str) -> bool:
    """Say that a memory in Mem0 is this record's; False when it is another's."""
    await session.execute(select(func.pg_advisory_xact_lock(_CLAIM_LOCK, func.hashtext(memory_id))))
    if await taken_by_others(session, lease.brain_id, [memory_id]):
        return False
    await _still_ours(session, update(_Row).where(*_ours(lease)).values(memory_id=memory_id))
    return True


async def taken_by_others(session: AsyncSession, brain: UUID, memory_ids: Collection[str]) -> set[str]:
    """Give those memories that another brain record is linked to, or that another writer has just made."""
    if not memory_ids:
        return set()
    tables = (UserBrainRow, UserBrainRow.id), (CompanyBrainRow, CompanyBrainRow.id), (_Row, _Row.brain_id)
    linked = union_all(
        *(select(table.memory_id).where(table.memory_id.in_(memory_ids), key != brain) for table, key in tables)
    )
    return {found for found in await session.scalars(linked) if found is not None}


async def finish(session: AsyncSession, lease: Lease) -> None:
    """Forget the intent: all of it is done."""
    await _still_ours(session, delete(_Row).where(*_ours(lease)))


async def give_back(session: AsyncSession, lease: Lease, *, drop_payload: bool) -> None:
    """Let the next one try at once. What was begun stays written down; `drop_payload` when it can never be done."""
    changes: dict[str, Any] = {"payload": {}} if drop_payload else {}
    await session.execute(
        update(_Row)
        .where(*_ours(lease))
        .values(lease_until=None, lease_token=None, updated_at=func.clock_timestamp(), **changes)
    )


async def _still_ours(session: AsyncSession, change: Update | Delete) -> None:
    changed = await session.execute(change.returning(_Row.brain_id))
    if changed.one_or_none() is None:
        raise LeaseLostError("somebody else saves this memory")


def _is_free() -> ColumnElement[bool]:
    return or_(_Row.lease_until.is_(None), _Row.lease_until < func.clock_timestamp())


def _ours(lease: Lease) -> Sequence[ColumnElement[bool]]:
    return _Row.brain_id == lease.brain_id, _Row.lease_token == lease.token


def _after(seconds: float) -> ColumnElement[datetime]:
    return func.clock_timestamp() + _seconds(seconds)


def _seconds(count: float) -> ColumnElement[timedelta]:
    return func.make_interval(0, 0, 0, 0, 0, 0, count)
