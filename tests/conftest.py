"""Real servers, each started once for the whole suite when the first test asks for it."""

import asyncio
import gc
import os
from collections.abc import AsyncIterator, Generator, Iterator
from pathlib import Path

import pytest
from redis import Redis

from services.embedded.errors import ServerFailedError
from services.embedded.ports import take_part_of_ports
from services.embedded.postgres_server import PostgresServer
from services.embedded.redis_server import RedisServer
from services.embedded.temporal_server import TemporalServer
from services.postgres.migrate import upgrade
from tests.support.databases import empty_database
from tests.support.namespaces import open_namespace
from tests.support.servers import FAST_POSTGRES, running, short_folder

_TEMPLATE = "migrated"
_LOG_CHARACTERS = 8_000


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(call: pytest.CallInfo[None]) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show what a server that failed has written, which is gone with its folder."""
    report = yield
    if call.excinfo and isinstance(error := call.excinfo.value, ServerFailedError) and error.log.exists():
        report.sections.append((f"log of {error.name}", error.log.read_text(errors="replace")[-_LOG_CHARACTERS:]))
    return report


def pytest_configure() -> None:
    """Let no other of the processes that run tests have the port of a server that is down for a moment."""
    worker = os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")
    take_part_of_ports(int(worker), _workers())


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes long, an equal share of it in each worker's stretch of the tests."""
    workers = _workers()
    long = [item for item in items if item.get_closest_marker("chaos") or item.get_closest_marker("slow")]
    known = set(long)
    short = [item for item in items if item not in known]
    size = -(-len(short) // workers)
    items[:] = [
        item
        for worker in range(workers)
        for item in (*long[worker::workers], *short[worker * size : (worker + 1) * size])
    ]


def _workers() -> int:
    return int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))


def pytest_collection_finish() -> None:
    """Spare what is imported by now the search for garbage, which stops this process for up to a second."""
    gc.freeze()


@pytest.fixture(scope="session")
def servers_folder() -> Iterator[Path]:
    with short_folder() as folder:
        yield folder


@pytest.fixture
def folder() -> Iterator[Path]:
    """Give each test a folder with a path so short that a socket may lie in it."""
    with short_folder() as made:
        yield made


@pytest.fixture
def own_redis(folder: Path) -> Iterator[RedisServer]:
    """Give a test a Redis that it may kill, fill, flush and configure."""
    with running(RedisServer(folder / "redis")) as server:
        yield server


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
async def temporal_namespace(temporal_server: TemporalServer) -> AsyncIterator[str]:
    """Give each test a namespace of its own."""
    async with open_namespace(temporal_server.address) as name:
        yield name
