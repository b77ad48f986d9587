"""Tables that changed much are analysed, by a role that does not own them; others are left alone."""

from sqlalchemy import text

from services.postgres.database import Database
from services.postgres.upkeep.statistics import Upkeep
from tests.support.memories_kept import run_sql


async def analyses(database: Database, table: str) -> int:
    async with database.transaction() as session:
        wanted = text("select analyze_count from pg_stat_user_tables where relname = :table")
        return int(await session.scalar(wanted, {"table": table}) or 0)


async def test_a_table_that_changed_much_is_analysed(database: Database) -> None:
    async with database.transaction() as session:
        # Postgres would analyse it by itself, some time within a minute.
        await session.execute(text("reset role"))
        await session.execute(text("alter table rooms set (autovacuum_enabled = false)"))
    async with database.transaction() as session:
        await session.execute(text("insert into rooms (id) select 'room:' || n from generate_series(1, 3000) as n"))
        await session.execute(text("select pg_stat_force_next_flush()"))
    before = await analyses(database, "rooms"), await analyses(database, "messages")
    analysed = await Upkeep(database).analyze_changed()
    assert "rooms" in analysed
    assert "messages" not in analysed
    assert (await analyses(database, "rooms"), await analyses(database, "messages")) == (before[0] + 1, before[1])


async def test_nothing_but_a_table_of_ours_can_be_analysed(database: Database) -> None:
    async with database.transaction() as session:
        for name in ("pg_class", "rooms; drop table rooms", "nowhere"):
            asked = text("select afterturn_analyze(:name)")
            assert await session.scalar(asked, {"name": name}) is False
    await run_sql(database, "select count(*) from rooms")
