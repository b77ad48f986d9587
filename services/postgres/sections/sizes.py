"""How much the section store holds."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from sqlalchemy import ColumnElement, func, or_, select, union
from sqlalchemy.ext.asyncio import AsyncSession

from services.domain.memories import Owner
from services.domain.sections import Section
from services.postgres.tables.sections import SectionCommandRow, SectionCountRow, SectionValueRow


@dataclass(frozen=True, slots=True)
class Size:
    section: Section
    values: int
    raw_bytes: int
    stored_bytes: int


async def is_anything_kept(session: AsyncSession, owner: Owner | None = None) -> bool:
    """Tell whether an owner, or anybody at all, has a permanent value or a command."""
    kept = [select(row.id).where(*_of(row, owner)).exists() for row in (SectionValueRow, SectionCommandRow)]
    return bool(await session.scalar(select(or_(*kept))))


async def sizes(session: AsyncSession, owner: Owner | None) -> list[Size]:
    """Sum up the permanent sections, of one owner or of all."""
    values, commands = SectionValueRow, SectionCommandRow
    by_section = select(values.section, *_sums(values)).where(*_of(values, owner)).group_by(values.section)
    found = [
        Size(cast(Section, row[0]), int(row[1]), int(row[2]), int(row[3])) for row in await session.execute(by_section)
    ]
    row = (await session.execute(select(*_sums(commands)).where(*_of(commands, owner)))).one()
    return [*found, *([Size("command_history", int(row[0]), int(row[1]), int(row[2]))] if row[0] else [])]


async def owners_of_all(session: AsyncSession) -> int:
    owners = union(
        select(SectionValueRow.owner_type, SectionValueRow.owner_id),
        select(SectionCommandRow.owner_type, SectionCommandRow.owner_id),
    ).subquery()
    return int(await session.scalar(select(func.count()).select_from(owners)) or 0)


async def counts_since(session: AsyncSession, days: int) -> dict[str, int]:
    """Sum up what was counted today and on the days before."""
    first = datetime.now(UTC).date() - timedelta(days=days - 1)
    row = SectionCountRow
    wanted = select(row.name, func.sum(row.count)).where(row.day >= first).group_by(row.name).order_by(row.name)
    return {name: int(count) for name, count in await session.execute(wanted)}


def _sums(row: type[SectionValueRow] | type[SectionCommandRow]) -> tuple[ColumnElement[Any], ...]:
    stored = func.coalesce(func.sum(func.length(row.value)), 0)
    return func.count(), func.coalesce(func.sum(row.raw_size), 0), stored


def _of(row: type[SectionValueRow] | type[SectionCommandRow], owner: Owner | None) -> list[ColumnElement[bool]]:
    return [row.owner_type == owner.type, row.owner_id == owner.id] if owner else []
