"""Brings a database to the newest schema."""

from collections.abc import Callable
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from services.postgres.database import CONNECT_SECONDS
from services.postgres.server_url import connect_args, driver_url

MIGRATIONS = Path(__file__).parent / "migrations"
# One upgrade at a time, whoever starts it.
_UPGRADE_LOCK = 7_302_118_444
# A migration that would wait behind a long query gives up instead of queueing every other query behind itself.
_LOCK_TIMEOUT = "5s"


async def upgrade(database_url: str, revision: str = "head") -> None:
    """Run the missing migrations; safe to call from several processes at once."""
    await _migrate(database_url, command.upgrade, revision)


async def downgrade(database_url: str, revision: str) -> None:
    """Undo migrations down to a revision: what only the newer ones can hold is lost."""
    await _migrate(database_url, command.downgrade, revision)


async def is_current(database_url: str) -> bool:
    """Tell whether every migration has run."""
    engine = _engine(database_url)
    try:
        async with engine.connect() as connection:
            have = await connection.run_sync(lambda sync: MigrationContext.configure(sync).get_current_revision())
    finally:
        await engine.dispose()
    return have == ScriptDirectory.from_config(_config()).get_current_head()


async def _migrate(database_url: str, move: Callable[[Config, str], None], revision: str) -> None:
    engine = _engine(database_url)
    try:
        async with engine.connect() as connection:
            await connection.run_sync(_run, move, revision)
            await connection.commit()
    finally:
        await engine.dispose()


def _engine(database_url: str) -> AsyncEngine:
    options = {**connect_args(database_url), "timeout": CONNECT_SECONDS}
    return create_async_engine(driver_url(database_url), poolclass=NullPool, hide_parameters=True, connect_args=options)


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    return config


def _run(connection: Connection, move: Callable[[Config, str], None], revision: str) -> None:
    connection.execute(text("select pg_advisory_xact_lock(:key)"), {"key": _UPGRADE_LOCK})
    connection.execute(text(f"set local lock_timeout = '{_LOCK_TIMEOUT}'"))
    config = _config()
    config.attributes["connection"] = connection
    move(config, revision)
