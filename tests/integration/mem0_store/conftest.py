from collections.abc import AsyncIterator

import pytest

from services.llm_proxy.client import ModelClient
from services.mem0_store.open_source import OpenSourceStore
from services.postgres.database import Database
from tests.support.memories_kept import MODEL
from tests.support.openai_server import OpenAIServer


@pytest.fixture
async def server() -> AsyncIterator[OpenAIServer]:
    async with OpenAIServer() as running:
        yield running


@pytest.fixture
async def model(server: OpenAIServer) -> AsyncIterator[ModelClient]:
    async with ModelClient.open(server.url) as opened:
        yield opened


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    async with Database.open(database_url) as opened:
        yield opened


@pytest.fixture
async def store(database_url: str, model: ModelClient) -> AsyncIterator[OpenSourceStore]:
    async with OpenSourceStore.open(database_url, model, MODEL) as opened:
        yield opened
