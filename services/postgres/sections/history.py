"""Keeps the commands that were given, in their order."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Row, TextClause, delete, func, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from services.domain.memories import Owner
from services.domain.sections import history_id
from services.postgres.sections.values import Packed
from services.postgres.tables.sections import SectionCommandRow
from services.postgres.upkeep.retention import since

_Row = SectionCommandRow


@dataclass(frozen=True, slots=True)
class KeptCommand:
    id: UUID
    packed: Packed
    session_id: str | None
    added_at: datetime
    seq: int


@dataclass(frozen=True, slots=True)
class OldCommand:
    """A command that is to go, and the histories that it stands in."""

    id: UUID
    owner: Owner
    histories: tuple[UUID, ...]


async def add_command(
    session: AsyncSession,
    owner: Owner,
    *,
    command_id: UUID,
    namespace: str,
    session_id: str | None,
    packed: Packed,
) -> KeptCommand:
    """Add a command whose histories the session has locked; one that is there already is answered as it stands."""
    wanted = insert(_Row).values(
        id=command_id,
        owner_type=owner.type,
        owner_id=owner.id,
        namespace=namespace,
        session_id=session_id,
        of_owner=history_id(owner, namespace, None),
        of_session=history_id(owner, namespace, session_id) if session_id is not None else None,
        value=packed.data,
        is_compressed=packed.is_compressed,
        raw_size=packed.raw_size,
        added_at=func.clock_timestamp(),
    )
    await session.execute(wanted.on_conflict_do_nothing())
    return _kept((await session.execute(select(_Row).where(_Row.id == command_id))).scalar_one())


async def commands(
    session: AsyncSession, history: UUID, *, is_session: bool, before: int | None, limit: int
) -> list[KeptCommand]:
    """Give the newest commands first, from the one before `before` on."""
    column = _Row.of_session if is_session else _Row.of_owner
    wanted = select(_Row).where(column == history).order_by(_Row.seq.desc()).limit(limit)
    if before is not None:
        wanted = wanted.where(_Row.seq < before)
    return [_kept(row) for row in await session.scalars(wanted)]


async def last_commands(session: AsyncSession, histories: Collection[UUID]) -> dict[UUID, int]:
    """Give the sequence number of the newest command of each history."""
    found: dict[UUID, int] = {}
    for column in (_Row.of_owner, _Row.of_session):
        wanted = select(column, func.max(_Row.seq)).where(column.in_(histories)).group_by(column)
        found |= {row[0]: row[1] for row in await session.execute(wanted) if row[0] is not None}
    return found


async def commands_beyond(session: AsyncSession, *, keep: int, limit: int) -> list[OldCommand]:
    """Give what is older than an owner's newest `keep` in a namespace."""
    crowded = (
        select(_Row.of_owner).group_by(_Row.of_owner).having(func.count() > keep).limit(max(limit // 100, 1))
    ).subquery()
    place = func.row_number().over(partition_by=_Row.of_owner, order_by=_Row.seq.desc()).label("place")
    ranked = select(_Row.id, place).where(_Row.of_owner.in_(select(crowded.c.of_owner))).subquery()
    return await _old(session, _Row.id.in_(select(ranked.c.id).where(ranked.c.place > keep)), limit=limit)


async def commands_past_retention(session: AsyncSession, *, days: int, limit: int) -> list[OldCommand]:
    """Give what is older than `days`, or than its owner wants; 0 days are for ever."""
    past = text(f"section_commands.added_at < {since('command_history', 'section_commands.owner')}")
    return await _old(session, past.bindparams(days=days), limit=limit)


async def remove_commands(session: AsyncSession, ids: Collection[UUID]) -> int:
    gone = await session.execute(delete(_Row).where(_Row.id.in_(ids)).returning(_Row.id))
    return len(gone.all())


async def _old(session: AsyncSession, wanted: ColumnElement[bool] | TextClause, *, limit: int) -> list[OldCommand]:
    columns = (_Row.id, _Row.owner_type, _Row.owner_id, _Row.of_owner, _Row.of_session)
    old = select(*columns).where(wanted).order_by(_Row.owner_type, _Row.owner_id, _Row.seq).limit(limit)
    return [
        OldCommand(
            row.id,
            Owner("user" if row.owner_type == "user" else "company", row.owner_id),
            (row.of_owner, row.of_session) if row.of_session else (row.of_owner,),
        )
        for row in await session.execute(old)
    ]


def _kept(row: SectionCommandRow | Row[Any]) -> KeptCommand:
    packed = Packed(row.value, row.is_compressed, row.raw_size)
    return KeptCommand(row.id, packed, row.session_id, row.added_at, row.seq)
