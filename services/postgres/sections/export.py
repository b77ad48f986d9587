"""Reads and deletes all that the section store has of one owner."""

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncSession

from services.domain.memories import Owner
from services.domain.sections import Name, check_name
from services.postgres.sections.history import KeptCommand
from services.postgres.sections.values import Packed, Record
from services.postgres.tables.sections import SectionCommandRow, SectionValueRow


@dataclass(frozen=True, slots=True)
class KeptValue:
    id: UUID
    name: Name
    record: Record


async def value_page(session: AsyncSession, owner: Owner, after: str, limit: int) -> list[KeptValue]:
    """Give values in the order of their ids, from the one that comes next."""
    row = SectionValueRow
    wanted = select(row).where(row.owner_type == owner.type, row.owner_id == owner.id).order_by(row.id).limit(limit)
    if after:
        wanted = wanted.where(row.id > UUID(after))
    return [
        KeptValue(
            one.id,
            check_name(one.section, one.key, one.namespace),
            Record(Packed(one.value, one.is_compressed, one.raw_size), one.version, one.updated_at),
        )
        for one in await session.scalars(wanted)
    ]


async def command_page(session: AsyncSession, owner: Owner, after: int, limit: int) -> list[tuple[str, KeptCommand]]:
    """Give commands with their namespaces, the oldest first."""
    row = SectionCommandRow
    wanted = select(row).where(row.owner_type == owner.type, row.owner_id == owner.id, row.seq > after)
    return [
        (
            one.namespace,
            KeptCommand(
                one.id, Packed(one.value, one.is_compressed, one.raw_size), one.session_id, one.added_at, one.seq
            ),
        )
        for one in await session.scalars(wanted.order_by(row.seq).limit(limit))
    ]


async def delete_owner(session: AsyncSession, owner: Owner) -> tuple[int, int]:
    """Answer how many values and commands there were."""
    values, commands = SectionValueRow, SectionCommandRow
    gone = await session.scalars(
        delete(values).where(values.owner_type == owner.type, values.owner_id == owner.id).returning(values.id)
    )
    given = await session.scalars(
        delete(commands).where(commands.owner_type == owner.type, commands.owner_id == owner.id).returning(commands.id)
    )
    return len(gone.all()), len(given.all())
