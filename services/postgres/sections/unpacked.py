"""Values and commands that are stored uncompressed, and their compressed form in their place."""

from collections.abc import Sequence
from typing import Any, Literal, cast
from uuid import UUID

from sqlalchemy import CursorResult, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from services.postgres.sections.values import Packed
from services.postgres.tables.sections import SectionCommandRow, SectionValueRow

Kept = Literal["values", "commands"]
_ROWS: dict[Kept, type[SectionValueRow] | type[SectionCommandRow]] = {
    "values": SectionValueRow,
    "commands": SectionCommandRow,
}


async def unpacked(
    session: AsyncSession, kept: Kept, *, above: int, after: UUID, limit: int
) -> tuple[Sequence[UUID], UUID | None]:
    """Look at the next `limit` rows: give those that are larger than `above` and not compressed, and the last of all.

    There is no last one where these were the last.
    """
    row = _ROWS[kept]
    is_large = ((row.raw_size > above) & ~row.is_compressed).label("is_large")
    page = (await session.execute(select(row.id, is_large).where(row.id > after).order_by(row.id).limit(limit))).all()
    return [one.id for one in page if one.is_large], page[-1].id if len(page) == limit else None


async def as_stored(session: AsyncSession, kept: Kept, one: UUID) -> Packed | None:
    row = _ROWS[kept]
    found = (await session.execute(select(row.value, row.is_compressed, row.raw_size).where(row.id == one))).first()
    return Packed(found.value, found.is_compressed, found.raw_size) if found else None


async def store_packed(session: AsyncSession, kept: Kept, one: UUID, stored: Packed, packed: Packed) -> bool:
    """Put the compressed form in place of what is stored, and of nothing else: a newer write stands."""
    row = _ROWS[kept]
    same = (row.id == one, ~row.is_compressed, row.value == stored.data)
    done = await session.execute(update(row).where(*same).values(value=packed.data, is_compressed=True))
    return bool(cast("CursorResult[Any]", done).rowcount)
