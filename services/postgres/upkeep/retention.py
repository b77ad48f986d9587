"""For how long each table's rows are kept: by the settings, or as a tenant wants it."""

from dataclasses import dataclass
from typing import Literal, get_args

from sqlalchemy import delete, func, select
from sqlalchemy.dialects.postgresql import insert

from services.domain.errors import InvalidInputError
from services.domain.memories import Owner
from services.postgres.database import Database
from services.postgres.tables.maintenance import RetentionRow

# Those of which a tenant may say how long its own rows are kept.
TenantTable = Literal["quarantine", "model_answers", "command_history", "messages"]
TENANT_TABLES: tuple[TenantTable, ...] = get_args(TenantTable)
MOST_DAYS = 36_500
# From when on a row is kept, as the settings say; 0 days are for ever.
_SINCE = """
(
    select case days when 0 then timestamptz '-infinity' else now() - make_interval(days => days) end
    from (select cast(:days as int) as days) as wanted
)
"""
# The same, as the row's tenant wants it.
_TENANTS_SINCE = """
(
    select case days when 0 then timestamptz '-infinity' else now() - make_interval(days => days) end
    from (
        select coalesce((
            select days::int from retention where table_name = '{table}' and owner_type = {owner}_type
            and owner_id = {owner}_id
        ), cast(:days as int)) as days
    ) as wanted
)
"""


@dataclass(frozen=True, slots=True)
class Retention:
    """`days` of a table's rows of one owner; 0 keeps them for ever."""

    owner: Owner
    table: str
    days: int


def since(table: str, owner: str | None = None) -> str:
    """Give the SQL of when a table's rows begin to be kept, `:days` where no tenant says otherwise.

    `owner` is how the columns of the row's tenant begin, where it has one.
    """
    return _TENANTS_SINCE.replace("{table}", table).replace("{owner}", owner) if owner else _SINCE


class Retentions:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def set(self, owner: Owner, table: str, days: int | None) -> None:
        """Keep an owner's rows of a table for so long; None takes that back. Raises `InvalidInputError`."""
        if table not in TENANT_TABLES:
            raise InvalidInputError("table", ", ".join(TENANT_TABLES))
        if days is not None and not 0 <= days <= MOST_DAYS:
            raise InvalidInputError("days", f"0 (for ever) to {MOST_DAYS}")
        row = RetentionRow
        named = {"owner_type": owner.type, "owner_id": owner.id, "table_name": table}
        async with self._database.transaction() as session:
            if days is None:
                await session.execute(delete(row).filter_by(**named))
                return
            wanted = insert(row).values(**named, days=days)
            await session.execute(
                wanted.on_conflict_do_update(constraint="pk_retention", set_={"days": days, "set_at": func.now()})
            )

    async def list_all(self) -> list[Retention]:
        row = RetentionRow
        wanted = select(row).order_by(row.owner_type, row.owner_id, row.table_name)
        async with self._database.transaction() as session:
            found = await session.scalars(wanted)
            return [Retention(_owner(one), one.table_name, one.days) for one in found]


def _owner(row: RetentionRow) -> Owner:
    return Owner("user" if row.owner_type == "user" else "company", row.owner_id)
