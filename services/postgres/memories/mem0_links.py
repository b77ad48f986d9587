"""Reads which memory in Mem0 each brain record is linked to, owner by owner, and changes such a link."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute

from services.domain.memories import Kind, Owner, OwnerType
from services.postgres.tables.memories import CompanyBrainRow, Mem0IntentRow, MemoryVersionRow, UserBrainRow

_TYPES: tuple[OwnerType, ...] = ("company", "user")
_NONE_YET = UUID(int=0)
_BrainRow = type[UserBrainRow] | type[CompanyBrainRow]


@dataclass(frozen=True, slots=True)
class Link:
    """A brain record, the memory in Mem0 that it is linked to, and what both must say.

    One that is not `is_settled` was written so lately that Mem0 may not show it yet.
    """

    brain_id: UUID
    slug: str
    memory_id: str
    content: str
    kind: Kind
    updated_at: datetime
    is_settled: bool


async def owners_after(session: AsyncSession, after: Owner | None, limit: int) -> list[Owner]:
    """Give the next owners of whom something was ever remembered or begun, in an order of their own."""
    found: list[Owner] = []
    for kind in _TYPES:
        if len(found) >= limit or (after and kind < after.type):
            continue
        start = after.id if after and after.type == kind else _NONE_YET
        ids: set[UUID] = set()
        for wanted in _owner_ids(kind, start):
            ids |= set(await session.scalars(wanted.limit(limit)))
        found += [Owner(kind, each) for each in sorted(ids)]
    return found[:limit]


async def entity_of(session: AsyncSession, owner: Owner) -> str | None:
    """Give Mem0's id of an owner; None when the owner is gone."""
    entity: str | None = await session.scalar(select(func.afterturn_entity_of(owner.type, owner.id)))
    return entity


async def links(
    session: AsyncSession, owner: Owner, *, grace_seconds: float, slugs: Collection[str] | None = None
) -> list[Link]:
    """Give an owner's brain records, or those of them that are named."""
    row, version = _brain(owner.type), MemoryVersionRow
    settled = row.updated_at < func.clock_timestamp() - func.make_interval(0, 0, 0, 0, 0, 0, grace_seconds)
    wanted = (
        select(row.id, row.slug, row.memory_id, row.content, version.kind, row.updated_at, settled.label("settled"))
        .outerjoin(version, (version.brain_id == row.id) & version.is_current)
        .where(_owned(row) == owner.id)
        .order_by(row.slug)
    )
    if slugs is not None:
        wanted = wanted.where(row.slug.in_(slugs))
    return [
        Link(
            found.id,
            found.slug,
            found.memory_id,
            found.content,
            found.kind or "semantic",
            found.updated_at,
            found.settled,
        )
        for found in await session.execute(wanted)
    ]


async def linked_to(session: AsyncSession, memory_id: str) -> tuple[Owner, str] | None:
    """Give owner and slug of the brain record that is linked to a memory in Mem0."""
    for kind in _TYPES:
        row = _brain(kind)
        wanted = select(_owned(row), row.slug).where(row.memory_id == memory_id)
        if found := (await session.execute(wanted)).one_or_none():
            return Owner(kind, found[0]), found[1]
    return None


async def link(session: AsyncSession, owner: Owner, brain: UUID, memory_id: str) -> None:
    """Link a brain record to another memory in Mem0."""
    row = _brain(owner.type)
    await session.execute(
        update(row)
        .where(row.id == brain, row.memory_id != memory_id)
        .values(memory_id=memory_id, updated_at=func.now())
    )


def _owner_ids(kind: OwnerType, start: UUID) -> list[Select[Any]]:
    version = MemoryVersionRow.user_id if kind == "user" else MemoryVersionRow.company_id
    intent = (Mem0IntentRow.owner_type == kind,)
    columns: list[tuple[InstrumentedAttribute[Any], tuple[ColumnElement[bool], ...]]] = [
        (_owned(_brain(kind)), ()),
        (version, ()),
        (Mem0IntentRow.owner_id, intent),
    ]
    return [select(id_).where(id_ > start, *also).group_by(id_).order_by(id_) for id_, also in columns]


def _brain(kind: OwnerType) -> _BrainRow:
    return UserBrainRow if kind == "user" else CompanyBrainRow


def _owned(row: _BrainRow) -> InstrumentedAttribute[UUID]:
    return row.user_id if row is UserBrainRow else row.company_id  # type: ignore[union-attr]
