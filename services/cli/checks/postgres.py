import time

import asyncpg
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from services.cli.checks.check import Check, clock_check, judged
from services.cli.checks.postgres_keeping import check_connections, check_durability
from services.cli.checks.row_security import check_row_security
from services.cli.exit_codes import UnreachableError
from services.cli.reaching import postgres_place, reach_postgres
from services.domain.errors import TransientError
from services.postgres.database import Database
from services.postgres.migrate import is_current
from services.postgres.server_url import driver_url
from services.settings import DatabaseSettings, load

# The oldest one that still gets fixes, and the oldest pgvector that was tried.
_OLDEST = 15
_OLDEST_VECTOR = (0, 8)
_FACTS = text("""
    select current_setting('server_version_num')::int, current_setting('server_version'), clock_timestamp(),
           (select installed_version from pg_available_extensions where name = 'vector'),
           (select default_version from pg_available_extensions where name = 'vector')
""")


async def check_postgres(database: Database) -> list[Check]:
    try:
        await reach_postgres(database)
    except UnreachableError as error:
        return [Check("Postgres: reachable", "failed", str(error), "start it, or set DATABASE_URL")]
    before = time.time()
    try:
        async with database.transaction() as session:
            number, version, now, installed, available = (await session.execute(_FACTS)).one()
            clock = clock_check("Postgres", now.timestamp(), before=before, after=time.time())
    except TransientError as error:
        return [Check("Postgres: reachable", "failed", str(error), "look at the server's log")]
    return [
        Check("Postgres: reachable", "ok", postgres_place()),
        judged(
            "Postgres: version",
            good=number // 10_000 >= _OLDEST,
            detail=version,
            cure=f"use Postgres {_OLDEST} or newer",
        ),
        _vector(installed, available),
        *await check_durability(database),
        await check_connections(database, wanted=load(DatabaseSettings).database_pool_size),
        await _migrations(),
        *await check_row_security(database, on_this_machine=_by_socket()),
        clock,
    ]


def _vector(installed: str | None, available: str | None) -> Check:
    name = "Postgres: pgvector"
    if installed is None:
        detail = "available, not installed" if available else "not available"
        cure = "run `afterturn db upgrade`" if available else "install pgvector on the database server"
        return Check(name, "failed", detail, cure)
    oldest = ".".join(map(str, _OLDEST_VECTOR))
    return judged(
        name,
        good=_is_at_least(installed, _OLDEST_VECTOR),
        detail=installed,
        cure=f"install pgvector {oldest} or newer on the database server, then `alter extension vector update`",
    )


def _is_at_least(version: str, oldest: tuple[int, int]) -> bool:
    parts = version.split(".")[:2]
    return all(part.isdecimal() for part in parts) and tuple(map(int, parts)) >= oldest


async def _migrations() -> Check:
    try:
        current = await is_current(load(DatabaseSettings).database_url)
    except (SQLAlchemyError, asyncpg.PostgresError, OSError, TimeoutError) as error:
        return Check("Postgres: schema", "not checkable", type(error).__name__)
    return judged(
        "Postgres: schema",
        good=current,
        detail="the newest" if current else "not the newest",
        cure="run `afterturn db upgrade`",
    )


def _by_socket() -> bool:
    url = driver_url(load(DatabaseSettings).database_url)
    return str(url.host or url.query.get("host") or "").startswith("/")
