"""A database of any age comes to the schema that the models describe, with all that it held."""

import asyncio
from collections.abc import AsyncIterator
from uuid import UUID, uuid4

import asyncpg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import create_async_engine

from services.domain.memories import owner_of
from services.embedded.postgres_server import PostgresServer
from services.postgres.migrate import downgrade, is_current, upgrade
from services.postgres.server_url import driver_url
from services.postgres.tables.base import Base
from tests.support.databases import empty_database

# What a schema is made of, as Postgres itself writes it down.
DESCRIPTIONS = {
    "columns": "select table_name, column_name, data_type, character_maximum_length, is_nullable, column_default, "
    "generation_expression from information_schema.columns where table_schema = 'public'",
    "constraints": "select conrelid::regclass::text, conname, pg_get_constraintdef(oid) from pg_constraint "
    "where connamespace = 'public'::regnamespace and contype <> 'n'",
    "indexes": "select tablename, indexname, indexdef from pg_indexes where schemaname = 'public'",
}
PROTECTION = (
    "select tablename, policyname, roles::text, cmd, qual, with_check from pg_policies "
    "union all select relname, relrowsecurity::text, relforcerowsecurity::text, relacl::text, null, null "
    "from pg_class where relkind = 'r' and relnamespace = 'public'::regnamespace"
)


@pytest.fixture
async def empty(postgres_server: PostgresServer) -> AsyncIterator[str]:
    async with empty_database(postgres_server) as url:
        yield url


@pytest.fixture
async def another(postgres_server: PostgresServer) -> AsyncIterator[str]:
    async with empty_database(postgres_server) as url:
        yield url


def differences(connection: Connection) -> list[object]:
    return list(compare_metadata(MigrationContext.configure(connection), Base.metadata))


async def read(url: str, question: str) -> set[tuple[object, ...]]:
    connection = await asyncpg.connect(url)
    try:
        return {tuple(row) for row in await connection.fetch(question)}
    finally:
        await connection.close()


async def execute(url: str, *statements: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()


async def describe(url: str) -> dict[str, set[tuple[object, ...]]]:
    found = {name: await read(url, question) for name, question in DESCRIPTIONS.items()}
    return {name: {row for row in rows if row[0] != "alembic_version"} for name, rows in found.items()}


async def test_the_migrations_make_the_tables_that_the_models_describe(database_url: str, empty: str) -> None:
    engine = create_async_engine(driver_url(database_url))
    async with engine.connect() as connection:
        assert await connection.run_sync(differences) == []
    await engine.dispose()
    await execute(
        empty,
        "create extension vector",
        "create function text_lexemes(language text, body text) returns tsvector language sql immutable "
        "return to_tsvector(language::regconfig, body)",
    )
    engine = create_async_engine(driver_url(empty))
    async with engine.begin() as transaction:
        await transaction.run_sync(Base.metadata.create_all)
    await engine.dispose()
    migrated, described = await describe(database_url), await describe(empty)
    for part in DESCRIPTIONS:
        assert migrated[part] == described[part], part


async def test_several_processes_may_upgrade_at_once(empty: str) -> None:
    assert not await is_current(empty)
    await asyncio.gather(*(upgrade(empty) for _ in range(4)))
    assert await is_current(empty)


ROOMS = {
    "user:42": ("7", None, ("user", "42")),
    "user:43": (None, "acme", ("user", "43")),
    "room:a": ("7", "acme", ("company", "acme")),
    "room:b": ("7", None, ("user", "7")),
    "room:c": (None, None, None),
    "room:d": ("not an id", None, None),
}


async def test_what_a_database_held_is_kept_and_gets_its_owners(empty: str) -> None:
    await upgrade(empty, "0001")
    chunk = uuid4()
    await execute(
        empty,
        *(
            "insert into rooms (id, user_id, company_id, last_seq) "  # noqa: S608
            f"values ('{room}', {_quoted(user)}, {_quoted(company)}, 1)"
            for room, (user, company, _) in ROOMS.items()
        ),
        "insert into chunks (id, room_id, first_seq, last_seq, tokens, state) "  # noqa: S608
        f"values ('{chunk}', 'room:a', 1, 1, 1, 'waiting')",
        "create table embeddings_old_2 (item_id uuid primary key, kind text not null, room_id text not null, "
        "embedding vector(2) not null)",
        "insert into embedding_models (model, dimensions, table_name) values ('old', 2, 'embeddings_old_2')",
        "insert into embeddings_old_2 values (gen_random_uuid(), 'message', 'room:a', '[1,0]')",
    )
    before = await describe(empty)
    await upgrade(empty)
    owners = {
        room: (type_, id_) for room, type_, id_ in await read(empty, "select id, owner_type, owner_id from rooms")
    }
    expected = {room: owner_of(*named) if named else None for room, (_, _, named) in ROOMS.items()}  # type: ignore[arg-type]
    assert owners == {room: (owner.type, owner.id) if owner else (None, None) for room, owner in expected.items()}
    await execute(
        empty,
        f"update chunks set state = 'extracted' where id = '{chunk}'",  # noqa: S608
        "insert into embeddings_old_2 (item_id, kind, embedding) values (gen_random_uuid(), 'memory', '[1,0]')",
        "select afterturn_make_memories('old', 'mem0_old_2')",
    )
    assert {("embeddings_old_2",), ("mem0_old_2",)} < await read(empty, PROTECTED)
    protection = await read(empty, PROTECTION)
    await downgrade(empty, "0001")
    after = await describe(empty)
    # The names of the first checks were put right.
    assert _without_checks(after) == _without_checks(before)
    assert await read(empty, "select id, state from chunks") == {(chunk, "waiting")}
    assert len(await read(empty, "select item_id from embeddings_old_2")) == 1
    assert await read(empty, "select policyname from pg_policies") == set()
    assert await read(empty, "select proname from pg_proc where proname like 'afterturn%'") == set()
    await upgrade(empty)
    await execute(empty, "select afterturn_make_memories('old', 'mem0_old_2')")
    assert await read(empty, PROTECTION) == protection


PROTECTED = "select relname from pg_class where relrowsecurity and relforcerowsecurity"


def _quoted(value: str | None) -> str:
    return f"'{value}'" if value else "null"


def _without_checks(described: dict[str, set[tuple[object, ...]]]) -> dict[str, set[tuple[object, ...]]]:
    kept = {row for row in described["constraints"] if not str(row[2]).startswith("CHECK")}
    return {**described, "constraints": kept}


HOST = """
create table profiles (
  id uuid primary key default gen_random_uuid(), mail text not null, rut varchar(12), legacy_number int not null
);
create table companies (id uuid primary key, title text not null, external_id text);
create table company_members (
  company_id uuid not null, user_id uuid not null, since date not null, primary key (user_id, company_id)
);
"""
PERSON, COMPANY = UUID(int=1), UUID(int=2)


async def test_the_hosts_own_tables_are_completed_and_given_back(empty: str) -> None:
    await execute(
        empty,
        HOST,
        f"insert into profiles values ('{PERSON}', 'x', '12.345.678-K', 7)",  # noqa: S608
        f"insert into companies values ('{COMPANY}', 'x', null)",  # noqa: S608
        f"insert into company_members values ('{COMPANY}', '{PERSON}', '2020-01-01')",  # noqa: S608
    )
    columns = (await describe(empty))["columns"]
    await upgrade(empty)
    added = {row[:2] for row in (await describe(empty))["columns"] - columns if row[0] in OWN}
    assert added == {("profiles", "external_id"), ("companies", "rut"), ("company_members", "role")}
    for owner_type, owner, known in (
        ("user", PERSON, (True, "12.345.678-K")),
        ("company", COMPANY, (True, None)),
        ("user", uuid4(), (False, None)),
        ("company", uuid4(), (False, None)),
    ):
        found = await read(empty, f"select * from afterturn_know_owner('{owner_type}', '{owner}', 'given-{owner}')")  # noqa: S608
        assert found == {known}
    assert await read(empty, "select external_id from profiles") == {(f"given-{PERSON}",)}
    # What the host deletes is followed, by the rights of whoever deletes it.
    await execute(
        empty,
        "insert into user_brain (id, user_id, memory_id, slug, content) "  # noqa: S608
        f"values ('{PERSON}', '{PERSON}', 'm', 's', 'c')",
        "delete from profiles",
    )
    assert await read(empty, "select action, entity_id, memory_id from mem0_intents") == {("delete", "12345678k", "m")}
    await downgrade(empty, "0001")
    assert {row for row in (await describe(empty))["columns"] if row[0] in OWN} == columns
    assert await read(empty, "select company_id from company_members") == {(COMPANY,)}


OWN = ("profiles", "companies", "company_members")


async def test_of_tables_that_we_made_nothing_is_left(empty: str) -> None:
    await upgrade(empty)
    await downgrade(empty, "base")
    assert {row[0] for row in (await describe(empty))["columns"]} == set()
