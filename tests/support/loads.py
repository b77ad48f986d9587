"""Fills the tables of people and companies, starts loads of their rows, and reads what these brought."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import insert, text

from services.domain.memories import OwnerType
from services.operations.backfills import Backfill, Backfills
from services.postgres.tables.people import Company, Profile
from services.resources import Resources

BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
_AT_ONCE = 5_000


def owner_id(number: int) -> UUID:
    return UUID(int=(number * 2_654_435_761 % 2**32) << 96 | number)


def person(number: int) -> dict[str, Any]:
    return {
        "id": owner_id(number),
        "full_name": f"Persona {number}",
        "email": f"p{number}@example.org",
        "phone": f"+56 9 {number:08}",
        "role": "Contabilidad",
        "updated_at": BEGAN,
    }


def company(number: int) -> dict[str, Any]:
    return {
        "id": owner_id(number),
        "tax_regime": "Pro Pyme",
        "activity": f"Rubro {number}",
        "legal_representative": f"Persona {number}",
        "start_date": datetime(2019, 3, 1, tzinfo=UTC).date(),
        "accounting_start": None,
        "updated_at": BEGAN,
    }


async def add(resources: Resources, owner_type: OwnerType, count: int, *, first: int = 0) -> None:
    """Add so many owners, each with four memories' worth of fields."""
    table, made = (Profile, person) if owner_type == "user" else (Company, company)
    for start in range(first, first + count, _AT_ONCE):
        rows = [made(number) for number in range(start, min(start + _AT_ONCE, first + count))]
        async with resources.database.transaction() as session:
            await session.execute(insert(table), rows)


async def change(resources: Resources, statement: str, **given: Any) -> None:
    """Do with the tables what their host does."""
    async with resources.database.transaction() as session:
        await session.execute(text(statement), given)


async def load_all(resources: Resources, owner_type: OwnerType, given: Mapping[str, Any] | None = None) -> Backfill:
    backfills = Backfills(resources.temporal)
    return await backfills.wait(await backfills.start_all(owner_type, given))


async def load_one(resources: Resources, owner_type: OwnerType, owner: object, *, dry_run: bool = False) -> Backfill:
    backfills = Backfills(resources.temporal)
    return await backfills.wait(await backfills.start_one(owner_type, str(owner), dry_run=dry_run))


async def versions(resources: Resources) -> list[tuple[UUID, str, str | None, str, bool]]:
    """Everything that was ever asserted: of whom, under which slug, what, by whom, and whether it stands."""
    told = text(
        "select coalesce(user_id, company_id) as owner, slug, content, made_by, is_current from memory_versions "
        "order by owner, slug, asserted_at"
    )
    async with resources.database.transaction() as session:
        return [tuple(row) for row in await session.execute(told)]


async def standing(resources: Resources, owner: UUID, owner_type: OwnerType = "user") -> dict[str, str]:
    read = resources.brain.get_all_by_user if owner_type == "user" else resources.brain.get_all_by_company
    return {record.slug: record.content for record in await read(owner)}
