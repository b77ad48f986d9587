"""Real servers, each started once for the whole suite when the first test asks for it."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from google.protobuf.duration_pb2 import Duration
from redis import Redis
from temporalio.api.workflowservice.v1 import RegisterNamespaceRequest
from temporalio.client import Client

from services.embedded.postgres_server import PostgresServer
from services.embedded.redis_server import RedisServer
from services.embedded.temporal_server import TemporalServer
from services.postgres.migrate import upgrade
from tests.support.databases import empty_database
from tests.support.servers import FAST_POSTGRES, running, short_folder

_TEMPLATE = "migrated"


@pytest.fixture(scope="session")
def servers_folder() -> Iterator[Path]:
    with short_folder() as folder:
        yield folder


@pytest.fixture(scope="session")
def redis_server(servers_folder: Path) -> Iterator[RedisServer]:
    with running(RedisServer(servers_folder / "redis")) as server:
        yield server


@pytest.fixture(scope="session")
def temporal_server(servers_folder: Path) -> Iterator[TemporalServer]:
    with running(TemporalServer(servers_folder / "temporal")) as server:
        yield server


@pytest.fixture(scope="session")
def postgres_server(servers_folder: Path) -> Iterator[PostgresServer]:
    server = PostgresServer(servers_folder / "postgres", database=_TEMPLATE, settings=FAST_POSTGRES)
    with running(server):
        yield server


@pytest.fixture(scope="session")
def _migrated(postgres_server: PostgresServer) -> None:
    with asyncio.Runner() as runner:
        runner.run(upgrade(postgres_server.url))


@pytest.fixture
async def database_url(postgres_server: PostgresServer, _migrated: None) -> AsyncIterator[str]:
    """Give each test a migrated database of its own."""
    async with empty_database(postgres_server, template=_TEMPLATE) as url:
        yield url


@pytest.fixture
def redis_url(redis_server: RedisServer) -> str:
    """Give each test an empty Redis."""
    with Redis.from_url(redis_server.url) as redis:
        redis.flushall()
    return redis_server.url


@pytest.fixture
def temporal_address(temporal_server: TemporalServer) -> str:
    return temporal_server.address


@pytest.fixture
async def temporal_namespace(temporal_server: TemporalServer) -> str:
    """Give each test a namespace of its own."""
    name = f"test-{uuid.uuid4().hex}"
    client = await Client.connect(temporal_server.address)
    await client.workflow_service.register_namespace(
        RegisterNamespaceRequest(namespace=name, workflow_execution_retention_period=Duration(seconds=86_400))
    )
    return name
