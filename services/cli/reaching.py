"""Opens the clients and sees to it that the servers answer, so that one that does not is named at once."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Literal
from urllib.parse import urlsplit

from afterturn_client.redis_connection import REDIS_ERRORS
from sqlalchemy import text
from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest
from temporalio.client import Client
from temporalio.service import RPCError

from services.cli.exit_codes import UnreachableError
from services.domain.errors import TransientError
from services.postgres.database import Database
from services.postgres.server_url import driver_url
from services.resources import Resources, open_resources
from services.settings import DatabaseSettings, RedisSettings, load

ServerName = Literal["redis", "postgres", "temporal"]
TEMPORAL_SECONDS = 10


@asynccontextmanager
async def opened(*servers: ServerName) -> AsyncIterator[Resources]:
    """Open every client; raise `UnreachableError` when one of `servers` does not answer."""
    async with open_resources() as resources:
        if "redis" in servers:
            await reach_redis(resources)
        if "postgres" in servers:
            await reach_postgres(resources.database)
        if "temporal" in servers:
            await reach_temporal(resources.temporal)
        yield resources


async def reach_redis(resources: Resources) -> None:
    try:
        await resources.redis.ping()
    except REDIS_ERRORS as error:
        raise UnreachableError(f"REDIS_URL: {redis_place()} does not answer ({type(error).__name__})") from None


async def reach_postgres(database: Database) -> None:
    try:
        async with database.transaction() as session:
            await session.execute(text("select 1"))
    except TransientError as error:
        cause = str(error).removeprefix("Postgres: ")
        raise UnreachableError(f"DATABASE_URL: {postgres_place()} does not answer ({cause})") from None


async def reach_temporal(client: Client) -> None:
    """The namespace is asked for, as a wrong one hides everything."""
    place = temporal_place(client)
    try:
        async with asyncio.timeout(TEMPORAL_SECONDS):
            await client.workflow_service.describe_namespace(DescribeNamespaceRequest(namespace=client.namespace))
    except RPCError as error:
        raise UnreachableError(f"TEMPORAL_ADDRESS: {place} answers {error.status.name}") from None
    except (RuntimeError, TimeoutError) as error:
        raise UnreachableError(f"TEMPORAL_ADDRESS: {place} does not answer ({type(error).__name__})") from None


def redis_place() -> str:
    url = urlsplit(load(RedisSettings).redis_url)
    return f"Redis at {url.netloc.rpartition('@')[2]}{url.path}"


def postgres_place() -> str:
    """Without the password."""
    url = driver_url(load(DatabaseSettings).database_url)
    host = url.host or url.query.get("host") or "localhost"
    return f"Postgres at {host}{f':{url.port}' if url.port else ''}, database {url.database}"


def temporal_place(client: Client) -> str:
    return f"Temporal at {client.service_client.config.target_host}, namespace {client.namespace}"
