"""The set-up script of compose's Postgres, on a real server: after one that was cut off, and as for an old Postgres."""

import asyncio
import os
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

from services.embedded.postgres_server import PostgresServer, postgres_program
from tests.support.databases import administer
from tests.support.servers import FAST_POSTGRES, short_folder

SCRIPT = (Path(__file__).parents[3] / "compose" / "postgres" / "afterturn.sh").read_text()
SINCE = "160000"
MADE = """
select rolname, rolcanlogin, rolpassword is not null, rolsuper or rolbypassrls or rolcreaterole or rolcreatedb
from pg_authid where rolname like 'afterturn%' order by rolname
"""
MEMBERSHIPS = """
select roleid::regrole::text as role, inherit_option, set_option
from pg_auth_members where member = 'afterturn'::regrole order by role
"""


@pytest.fixture
async def server() -> AsyncIterator[PostgresServer]:
    with short_folder() as folder:
        async with PostgresServer(folder / "postgres", database="another", settings=FAST_POSTGRES) as opened:
            yield opened


@pytest.mark.parametrize("since", [SINCE, "990000"], ids=["this Postgres", "as before 16"])
async def test_a_set_up_that_was_cut_off_is_finished_by_the_next(server: PostgresServer, since: str) -> None:
    """What is said to an old Postgres, a new one understands, too."""
    assert SINCE in SCRIPT
    script = SCRIPT.replace(SINCE, since)
    for statement in ("create role afterturn login password 'older'", "create role afterturn_system nologin"):
        await administer(server, statement)
    for password in ("first", "second"):
        await set_up(server, script, password)
    # Before 16, who inherits nothing has not even a right to its own database's schema.
    await is_set_up(server, schema_owner="pg_database_owner" if since == SINCE else "afterturn")


async def test_a_new_server_is_set_up(server: PostgresServer) -> None:
    await set_up(server, SCRIPT, "first")
    await is_set_up(server)


def test_an_old_postgres_is_not_told_what_it_does_not_know() -> None:
    old = SCRIPT.partition("\\else\n")[2].partition("\\endif")[0]
    assert "noinherit" in old
    assert "with inherit" not in old


async def set_up(server: PostgresServer, script: str, password: str) -> None:
    told = {
        "PATH": f"{postgres_program('psql').parent}:{os.environ['PATH']}",
        "PGHOST": str(server.socket_folder),
        "AFTERTURN_DB_PASSWORD": password,
    }
    done = await asyncio.to_thread(
        subprocess.run, ["/bin/sh", "-c", script], env=told, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr


async def is_set_up(server: PostgresServer, schema_owner: str = "pg_database_owner") -> None:
    connection = await asyncpg.connect(server.url_of("afterturn"))
    try:
        made = [tuple(row) for row in await connection.fetch(MADE)]
        memberships = [tuple(row) for row in await connection.fetch(MEMBERSHIPS)]
        owner = await connection.fetchval("select datdba::regrole::text from pg_database where datname = 'afterturn'")
        schema = await connection.fetchval("select nspowner::regrole::text from pg_namespace where nspname = 'public'")
        vector = await connection.fetchval("select count(*) from pg_extension where extname = 'vector'")
    finally:
        await connection.close()
    assert made == [
        ("afterturn", True, True, False),
        ("afterturn_system", False, False, False),
        ("afterturn_tenant", False, False, False),
    ]
    assert memberships == [("afterturn_system", False, True), ("afterturn_tenant", False, True)]
    assert (owner, schema, vector) == ("afterturn", schema_owner, 1)
