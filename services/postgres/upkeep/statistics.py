"""Keeps the planner's statistics fresh. No index is rebuilt or dropped by itself: analytics name what to look at."""

from sqlalchemy import text

from services.postgres.database import Database

_CHANGED = text("""
select relname from pg_stat_user_tables
where schemaname = current_schema() and n_mod_since_analyze > greatest(1000, 0.1 * n_live_tup)
order by n_mod_since_analyze desc limit :limit
""")
_AT_ONCE = 20


class Upkeep:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def analyze_changed(self) -> list[str]:
        """Analyse the tables of which much has changed, each in a transaction of its own; name them."""
        async with self._database.transaction() as session:
            changed = list(await session.scalars(_CHANGED, {"limit": _AT_ONCE}))
        return [table for table in changed if await self._analyze(table)]

    async def _analyze(self, table: str) -> bool:
        async with self._database.transaction() as session:
            return bool(await session.scalar(text("select afterturn_analyze(:table)"), {"table": table}))
