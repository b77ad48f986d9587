from collections.abc import AsyncIterator

import pytest

from services.llm_proxy.client import ModelClient
from services.mem0_store.open_source import OpenSourceStore
from services.memories.merging import Merging
from services.memories.saving import MemoryService
from services.postgres.database import Database
from services.postgres.memories.merges import Merges
from tests.support.memories_kept import MODEL
from tests.support.openai_server import OpenAIServer


@pytest.fixture
async def server() -> AsyncIterator[OpenAIServer]:
    async with OpenAIServer() as running:
        yield running


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    async with Database.open(database_url) as opened:
        yield opened


@pytest.fixture
async def store(database_url: str, server: OpenAIServer) -> AsyncIterator[OpenSourceStore]:
    async with ModelClient.open(server.url) as model, OpenSourceStore.open(database_url, model, MODEL) as opened:
        yield opened


@pytest.fixture
def merges(database: Database) -> Merges:
    return Merges(database)


@pytest.fixture
def merging(store: OpenSourceStore, merges: Merges) -> Merging:
    return Merging(MemoryService(store), merges)
