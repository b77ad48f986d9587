from collections.abc import AsyncIterator

import pytest

from services.mem0_store.platform import PlatformStore
from services.postgres.database import Database
from tests.support.mem0_server import Mem0Server
from tests.support.openai_server import OpenAIServer
from tests.support.platform_store import Servers, open_platform


@pytest.fixture
async def mem0() -> AsyncIterator[Mem0Server]:
    async with Mem0Server() as server:
        yield server


@pytest.fixture
async def model() -> AsyncIterator[OpenAIServer]:
    async with OpenAIServer() as server:
        yield server


@pytest.fixture
def servers(database_url: str, mem0: Mem0Server, model: OpenAIServer) -> Servers:
    return Servers(database_url, mem0.url, model.url)


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    async with Database.open(database_url) as opened:
        yield opened


@pytest.fixture
async def store(servers: Servers) -> AsyncIterator[PlatformStore]:
    async with open_platform(servers) as opened:
        yield opened
