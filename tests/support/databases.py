import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

from services.embedded.postgres_server import PostgresServer


async def administer(server: PostgresServer, statement: str) -> None:
    connection = await asyncpg.connect(server.url_of("postgres"), command_timeout=60)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


@asynccontextmanager
async def empty_database(server: PostgresServer, *, template: str = "template1") -> AsyncIterator[str]:
    """Give a database of its own, dropped afterwards."""
    name = f"test_{uuid.uuid4().hex}"
    await administer(server, f'create database "{name}" template "{template}"')
    try:
        yield server.url_of(name)
    finally:
        await administer(server, f'drop database if exists "{name}" with (force)')
