"""Whether Postgres keeps what it has committed, and has room for those who connect."""

from sqlalchemy import text

from services.cli.checks.check import Check, judged
from services.domain.errors import TransientError
from services.postgres.database import Database

_WHY = {
    "fsync": "a crash of the machine loses what Redis has given up, and may ruin the database",
    "full_page_writes": "a crash of the machine may ruin the database, unless its file system never tears a page (ZFS)",
    "synchronous_commit": "what is committed last may be lost, and Redis has given it up; our sessions ask for it, so "
    "whatever stands between us and Postgres drops that: set it on the server",
}
_SETTINGS = text("select name, setting from pg_settings where name = any(:names)")
_CONNECTIONS = text("""
    select (select coalesce(sum(numbackends), 0)::int from pg_stat_database),
           (select sum(case name when 'max_connections' then setting::int else -setting::int end)::int from pg_settings
            where name in ('max_connections', 'superuser_reserved_connections', 'reserved_connections'))
""")


async def check_durability(database: Database) -> list[Check]:
    """Look at the settings as our own sessions have them."""
    async with database.transaction() as session:
        found = await session.execute(_SETTINGS, {"names": list(_WHY)})
        settings = {row.name: row.setting for row in found}
    return [_setting(name, settings.get(name, "unknown")) for name in _WHY]


def _setting(name: str, value: str) -> Check:
    return judged(
        f"Postgres: {name}",
        good=value not in ("off", "unknown"),
        detail=value,
        cure=f"set {name} = on in postgresql.conf: {_WHY[name]}",
    )


async def check_connections(database: Database, *, wanted: int) -> Check:
    name = "Postgres: connections"
    try:
        async with database.transaction() as session:
            used, most = (await session.execute(_CONNECTIONS)).one()
    except TransientError as error:
        return Check(name, "not checkable", str(error))
    return judged(
        name,
        good=most - used >= wanted,
        detail=f"{used} of {most} are used",
        cure=f"raise max_connections, or lower DATABASE_POOL_SIZE: one more worker or API takes {wanted}",
    )
