from collections.abc import AsyncIterator, Iterator

import pytest

from services.embedded.redis_server import RedisServer
from services.llm_proxy.client import ModelClient
from services.section_store.store import SectionStore
from tests.support.openai_server import OpenAIServer
from tests.support.section_stores import open_sections
from tests.support.servers import running, short_folder


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


@pytest.fixture
def own_redis() -> Iterator[RedisServer]:
    """Give a test a Redis that it may kill and flush."""
    with short_folder() as folder, running(RedisServer(folder / "redis")) as server:
        yield server
