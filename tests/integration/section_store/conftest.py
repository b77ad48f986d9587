from collections.abc import AsyncIterator

import pytest

from services.llm_proxy.client import ModelClient
from services.section_store.store import SectionStore
from tests.support.openai_server import OpenAIServer
from tests.support.section_stores import open_sections


@pytest.fixture
async def model_server() -> AsyncIterator[OpenAIServer]:
    async with OpenAIServer() as server:
        yield server


@pytest.fixture
async def model(model_server: OpenAIServer) -> AsyncIterator[ModelClient]:
    async with ModelClient.open(model_server.url) as client:
        yield client


@pytest.fixture
async def sections(redis_url: str, database_url: str, model: ModelClient) -> AsyncIterator[SectionStore]:
    async with open_sections(redis_url, database_url, model) as store:
        yield store
