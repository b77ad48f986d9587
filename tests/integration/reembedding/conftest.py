from collections.abc import AsyncIterator

import pytest

from services.llm_proxy.client import ModelClient
from services.mem0_store.open_source import OpenSourceStore
from services.postgres.database import Database
from tests.support.openai_server import OpenAIServer
from tests.support.reembeds import DIMENSIONS, OLD, World, embed


@pytest.fixture
async def server() -> AsyncIterator[OpenAIServer]:
    async with OpenAIServer(embed=embed, models=tuple(DIMENSIONS)) as running:
        yield running


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    async with Database.open(database_url) as opened:
        yield opened


@pytest.fixture
async def world(database_url: str, database: Database, server: OpenAIServer) -> AsyncIterator[World]:
    async with (
        ModelClient.open(server.url, timeout_embedding=10) as client,
        OpenSourceStore.open(database_url, client, OLD) as store,
    ):
        yield World(database, client, store)
