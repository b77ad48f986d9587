import time
from datetime import datetime

import asyncpg
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from services.cli.checks.check import Check, clock_check, judged
from services.cli.exit_codes import UnreachableError
from services.cli.reaching import postgres_place, reach_postgres
from services.domain.errors import TransientError
from services.postgres.database import Database
from services.postgres.migrate import is_current
from services.settings import DatabaseSettings, load

# The oldest one that still gets fixes.
_OLDEST = 15
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
        await _migrations(),
        _clock(before, now),
    ]


def _vector(installed: str | None, available: str | None) -> Check:
    return judged(
        "Postgres: pgvector",
        good=installed is not None,
        detail=installed or ("available, not installed" if available else "not available"),
        cure="run `afterturn db upgrade`" if available else "install pgvector on the database server",
    )


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


def _clock(before: float, now: datetime) -> Check:
    return clock_check("Postgres", now.timestamp() - (before + time.time()) / 2)
