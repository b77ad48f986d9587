"""The roles on a server that has never seen them, where nobody of ours is a superuser."""

import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import asyncpg
import pytest
from sqlalchemy import text

from services.domain.errors import TransientError
from services.domain.memories import brain_id
from services.embedded.postgres_server import PostgresServer
from services.postgres.database import Database, Tenant
from services.postgres.migrate import downgrade, is_current, upgrade
from tests.support.databases import administer
from tests.support.servers import FAST_POSTGRES, running
from tests.support.tenants import ACME, ANA, BEN, OWNERS, fill

ROOT = Path(__file__).parents[3]


@pytest.fixture
def fresh_server() -> Iterator[PostgresServer]:
    with TemporaryDirectory(prefix="at-") as folder:
        server = PostgresServer(Path(folder) / "postgres", settings=FAST_POSTGRES)
        with running(server):
            yield server


async def test_databases_may_be_migrated_at_once_by_an_owner_that_may_not_look(fresh_server: PostgresServer) -> None:
    await administer(fresh_server, "create role keeper login createrole")
    await administer(fresh_server, "create role served login")
    urls = []
    for number in range(3):
        await administer(fresh_server, f"create database d{number} owner keeper")
        await extend(fresh_server.url_of(f"d{number}"))
        urls.append(fresh_server.url_of(f"d{number}").replace("postgres@", "keeper@"))
    assert await asyncio.gather(*(upgraded_by_a_process(url) for url in urls)) == [0, 0, 0]
    assert all([await is_current(url) for url in urls])
    async with Database.open(urls[0]) as database:
        tables = await fill(database)
        await hidden_from_its_owner(urls[0], [table.name for table in tables])
        await what_is_deleted_leaves_word(database)
    await a_login_must_be_let_in(fresh_server)
    await downgrade(urls[0], "base")


async def test_a_migration_waits_for_the_roles_that_another_database_is_given(fresh_server: PostgresServer) -> None:
    for name in ("first", "second"):
        await administer(fresh_server, f"create database {name}")
    other = await asyncpg.connect(fresh_server.url_of("first"))
    try:
        async with other.transaction():
            await other.execute("create role afterturn_system nologin")
            migrating = asyncio.create_task(upgrade(fresh_server.url_of("second")))
            # Longer than a migration waits for a table.
            await asyncio.wait([migrating], timeout=7)
            assert not migrating.done()
        await migrating
    finally:
        await other.close()
    assert await is_current(fresh_server.url_of("second"))


UPGRADE = "import asyncio, sys; from services.postgres.migrate import upgrade; asyncio.run(upgrade(sys.argv[1]))"


async def upgraded_by_a_process(url: str) -> int:
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", UPGRADE, url, cwd=ROOT)
    return await asyncio.wait_for(process.wait(), 60)


async def extend(url: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute("create extension vector")
    finally:
        await connection.close()


async def hidden_from_its_owner(url: str, tables: list[str]) -> None:
    connection = await asyncpg.connect(url)
    try:
        for table in tables:
            assert await connection.fetchval(
                "select pg_get_userbyid(relowner) from pg_class where relname = $1", table
            ) == ("keeper")
            assert await connection.fetch(f"select 1 from {table}") == []  # noqa: S608
    finally:
        await connection.close()


async def what_is_deleted_leaves_word(database: Database) -> None:
    async with database.transaction() as session:
        await session.execute(text("delete from mem0_intents"))
        await session.execute(text("delete from profiles where id = :id"), {"id": ANA.id})
    async with database.transaction(Tenant.of(ACME)) as session:
        await session.execute(text("delete from company_brain"))
    async with database.transaction() as session:
        left = await session.execute(text("select brain_id, action, entity_id from mem0_intents"))
        assert {tuple(row) for row in left} == {
            (brain_id(owner, "secret"), "delete", str(owner.id)) for owner in (ANA, ACME)
        }
        assert await session.scalar(text("select count(*) from user_brain")) == 1


async def a_login_must_be_let_in(server: PostgresServer) -> None:
    served = server.url_of("d0").replace("postgres@", "served@")
    async with Database.open(served, pool_size=1) as database:
        for tenant in (None, Tenant.of(BEN)):
            with pytest.raises(TransientError, match="42501"):
                async with database.transaction(tenant):
                    pass
        await administer(server, "grant afterturn_system, afterturn_tenant to served with inherit false")
        async with database.transaction(Tenant.of(BEN)) as session:
            assert await session.scalar(text("select user_id from user_brain")) == BEN.id
        async with database.transaction() as session:
            assert await session.scalar(text("select count(*) from rooms")) == len(OWNERS)
            await session.execute(text("select afterturn_make_vectors('new', 3, 'embeddings_new_3')"))
