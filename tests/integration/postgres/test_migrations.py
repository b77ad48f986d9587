import asyncio

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import create_async_engine

from services.embedded.postgres_server import PostgresServer
from services.postgres.database import driver_url
from services.postgres.migrate import is_current, upgrade
from services.postgres.tables import Base
from tests.support.databases import empty_database


def differences(connection: Connection) -> list[object]:
    return list(compare_metadata(MigrationContext.configure(connection), Base.metadata))


async def test_the_migrations_make_the_tables_that_the_models_describe(database_url: str) -> None:
    engine = create_async_engine(driver_url(database_url))
    async with engine.connect() as connection:
        assert await connection.run_sync(differences) == []
    await engine.dispose()


async def test_several_processes_may_upgrade_at_once(postgres_server: PostgresServer) -> None:
    async with empty_database(postgres_server) as url:
        assert not await is_current(url)
        await asyncio.gather(*(upgrade(url) for _ in range(4)))
        assert await is_current(url)
