"""Keeps which memories were merged, so that a merge is made once, finished by whoever comes next, and undone."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID, uuid5

from sqlalchemy import ColumnElement, Select, delete, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.sql.dml import ReturningDelete, ReturningInsert

from services.domain.duplicates import NEAR, Duplicate, Memory, Reason, find_duplicates, say_the_same
from services.domain.ids import NAMESPACE
from services.domain.memories import NewMemory, Owner, brain_id
from services.postgres.database import Database
from services.postgres.memories.mem0_links import owners_after
from services.postgres.memories.nearness import similarity_of
from services.postgres.tables.maintenance import MemoryMergeRow
from services.postgres.tables.memories import CompanyBrainRow, MemorySourceRow, MemoryVersionRow, UserBrainRow

_Row = MemoryMergeRow
_OWNER_LOCK = 730_212
_AS_THEY_ARE = (
    "kept_slug", "ended_slug", "kept_version", "ended_version", "ends_at", "reason", "similarity", "run_id",
    "planned_at", "done_at", "undone_at",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Merge:
    """A memory that was ended for another one that says the same; until `done_at` that is under way."""

    id: UUID
    owner: Owner
    kept_slug: str
    ended_slug: str
    kept_version: UUID
    ended_version: UUID
    ends_at: datetime
    reason: Reason
    similarity: float | None
    run_id: str
    planned_at: datetime
    done_at: datetime | None
    undone_at: datetime | None


class Merges:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def owners(self, after: Owner | None, *, limit: int) -> list[Owner]:
        """Page through the owners of whom something is remembered."""
        async with self._database.transaction() as session:
            return await owners_after(session, after, limit)

    async def plan(self, owner: Owner, *, run_id: str) -> int:
        """Write down which memories of an owner are to be merged, one planner at a time; answer how many.

        What is under way is left alone: a memory that another one is merged into must not be ended for a third.
        """
        async with self._database.transaction() as session:
            number = int.from_bytes(owner.id.bytes[:4], signed=True)
            await session.execute(select(func.pg_advisory_xact_lock(_OWNER_LOCK, number)))
            known = [_merge(row) for row in await session.scalars(_of(owner))]
            busy = {slug for one in known if one.done_at is None for slug in (one.kept_slug, one.ended_slug)}
            memories = [memory for memory in await _standing(session, owner) if memory.slug not in busy]
            found = await asyncio.to_thread(find_duplicates, memories, own=owner.type == "user")
            undone = {frozenset((one.kept_slug, one.ended_slug)) for one in known if one.undone_at}
            wanted = [pair for pair in found if frozenset((pair.kept.slug, pair.ended.slug)) not in undone]
            return sum([await _write_down(session, owner, pair, run_id) for pair in wanted])

    async def under_way(self, owner: Owner) -> list[Merge]:
        async with self._database.transaction() as session:
            rows = await session.scalars(_of(owner).where(_Row.done_at.is_(None)).order_by(_Row.id))
            return [_merge(row) for row in rows]

    async def work(self, merge: Merge) -> Sequence[NewMemory] | None:
        """Give what is to be saved: that the kept one is borne out by the other's messages, too, and the other's end.

        Nothing where all of it was saved; None where the two do not say the same any more.
        """
        async with self._database.transaction() as session:
            if await _newest(session, merge) == (merge.ends_at, None):
                return ()
            both = {one.slug: one for one in await _standing(session, merge.owner, merge.kept_slug, merge.ended_slug)}
            kept, ended = both.get(merge.kept_slug), both.get(merge.ended_slug)
            if kept is None or ended is None or ended.version_id != merge.ended_version:
                return None
            if say_the_same(kept, ended, own=merge.owner.type == "user") is None:
                return None
            sources = await _sources(session, ended)
        again = NewMemory(
            slug=kept.slug,
            content=kept.content,
            asserted_at=max(kept.asserted_at, ended.asserted_at),
            kind=kept.kind,
            made_by=ended.made_by,
            metadata=dict(kept.metadata),
            sources=sources,
            run_id=merge.run_id,
        )
        end = NewMemory(merge.ended_slug, None, merge.ends_at, kind=ended.kind, run_id=merge.run_id)
        return again, end

    async def finish(self, merge: Merge) -> bool:
        """Call it done; False where somebody else did. What was made is on record, even if somebody dropped it."""
        done = insert(_Row).values({**_values(merge), "done_at": func.clock_timestamp()})
        return await self._change(
            done.on_conflict_do_update(
                index_elements=["id"], set_={"done_at": done.excluded.done_at}, where=_Row.done_at.is_(None)
            ).returning(_Row.id)
        )

    async def drop(self, merge: Merge) -> bool:
        """Forget a merge that was never made."""
        return await self._change(delete(_Row).where(_Row.id == merge.id, _Row.done_at.is_(None)).returning(_Row.id))

    async def recent(self, *, owner: Owner | None = None, limit: int = 100) -> list[Merge]:
        """Give the merges, the newest first."""
        wanted = select(_Row) if owner is None else _of(owner)
        async with self._database.transaction() as session:
            ordered = wanted.order_by(_Row.planned_at.desc(), _Row.id.desc()).limit(limit)
            return [_merge(row) for row in await session.scalars(ordered)]

    async def begin_undo(self, id_: UUID) -> Merge | None:
        """Note that a merge is undone, once and for good; None where there is none, or it is not done yet."""
        undone = func.coalesce(_Row.undone_at, func.clock_timestamp())
        async with self._database.transaction() as session:
            row = await session.scalar(
                update(_Row).where(_Row.id == id_, _Row.done_at.is_not(None)).values(undone_at=undone).returning(_Row)
            )
            return _merge(row) if row else None

    async def to_restore(self, merge: Merge) -> NewMemory | None:
        """Give what was ended, to be said anew; None where somebody has said something else of it since."""
        async with self._database.transaction() as session:
            if merge.undone_at is None or await _newest(session, merge) != (merge.ends_at, None):
                return None
            row = await session.get_one(MemoryVersionRow, merge.ended_version)
            sources = await _sources_of(session, MemorySourceRow.version_id == row.id)
        return NewMemory(
            slug=row.slug,
            content=row.content,
            asserted_at=merge.undone_at,
            kind=row.kind,
            made_by=row.made_by,
            metadata=row.extra_metadata,
            sources=sources,
            prompt_version=row.prompt_version,
            model=row.model,
            run_id=f"undo/{merge.id}",
        )

    async def _change(self, statement: ReturningInsert[UUID] | ReturningDelete[UUID]) -> bool:
        async with self._database.transaction() as session:
            return await session.scalar(statement) is not None


def _of(owner: Owner) -> Select[MemoryMergeRow]:
    return select(_Row).where((_Row.user_id if owner.type == "user" else _Row.company_id) == owner.id)


async def _standing(session: AsyncSession, owner: Owner, *slugs: str) -> list[Memory]:
    brain, version = UserBrainRow if owner.type == "user" else CompanyBrainRow, MemoryVersionRow
    owned = (UserBrainRow.user_id if owner.type == "user" else CompanyBrainRow.company_id) == owner.id
    wanted = (
        select(
            version.slug, version.content, version.kind, version.made_by, version.extra_metadata, version.asserted_at,
            version.id, version.brain_id,
        )
        .join(brain, brain.id == version.brain_id)
        .where(owned, version.is_current, version.content.is_not(None))
    )  # fmt: skip
    found = await session.execute(wanted.where(version.slug.in_(slugs)) if slugs else wanted)
    return [Memory(*row) for row in found]


async def _newest(session: AsyncSession, merge: Merge) -> tuple[datetime, str | None] | None:
    """Give when something was last said of the ended slug, and what."""
    version = MemoryVersionRow
    brain = brain_id(merge.owner, merge.ended_slug)
    order = (version.asserted_at.desc(), version.content.is_not(None).desc(), version.id.desc())
    wanted = select(version.asserted_at, version.content).where(version.brain_id == brain).order_by(*order).limit(1)
    row = (await session.execute(wanted)).one_or_none()
    return None if row is None else (row.asserted_at, row.content)


async def _sources(session: AsyncSession, memory: Memory) -> tuple[UUID, ...]:
    """Give the messages that bear out what stands, whenever they said so."""
    version = MemoryVersionRow
    said = select(version.id).where(
        version.brain_id == memory.brain_id, version.asserted_at >= memory.asserted_at, version.content.is_not(None)
    )
    return await _sources_of(session, MemorySourceRow.version_id.in_(said))


async def _sources_of(session: AsyncSession, which: ColumnElement[bool]) -> tuple[UUID, ...]:
    wanted = select(MemorySourceRow.message_uid).where(which).distinct().order_by(MemorySourceRow.message_uid)
    return tuple(await session.scalars(wanted))


async def _write_down(session: AsyncSession, owner: Owner, pair: Duplicate, run_id: str) -> int:
    similarity = await similarity_of(session, pair)
    if pair.reason == "same_meaning" and (similarity is None or similarity < NEAR):
        return 0
    row = {
        "id": uuid5(NAMESPACE, f"merge\n{pair.ended.version_id}"),
        "user_id": owner.id if owner.type == "user" else None,
        "company_id": owner.id if owner.type == "company" else None,
        "kept_slug": pair.kept.slug,
        "ended_slug": pair.ended.slug,
        "kept_version": pair.kept.version_id,
        "ended_version": pair.ended.version_id,
        "ends_at": pair.ends_at,
        "reason": pair.reason,
        "similarity": similarity,
        "run_id": run_id,
    }
    written = await session.scalar(insert(_Row).values(row).on_conflict_do_nothing().returning(_Row.id))
    return int(written is not None)


def _values(merge: Merge) -> dict[str, Any]:
    return {
        "id": merge.id,
        "user_id": merge.owner.id if merge.owner.type == "user" else None,
        "company_id": merge.owner.id if merge.owner.type == "company" else None,
        **{name: getattr(merge, name) for name in _AS_THEY_ARE},
    }


def _merge(row: MemoryMergeRow) -> Merge:
    owner = Owner("user", row.user_id) if row.user_id else Owner("company", row.company_id or UUID(int=0))
    return Merge(id=row.id, owner=owner, **{name: getattr(row, name) for name in _AS_THEY_ARE})
