"""The main job on real servers, with a model whose answers are fixed."""

from collections.abc import AsyncIterator

import pytest
from afterturn_client.memory_client import MemoryClient

from services.resources import Resources, open_resources
from services.worker.run import running_workers
from tests.support.mem0_server import API_KEY, Mem0Server
from tests.support.openai_server import OpenAIServer

SUMMARY_MODEL = "chat-model"
EMBEDDING_MODEL = "embedding-model"
RECORD_SECONDS = 20.0


@pytest.fixture
async def model() -> AsyncIterator[OpenAIServer]:
    async with OpenAIServer(answer=lambda _: "The user moved to Lima.") as server:
        yield server


def settings_of(redis_url: str, database_url: str, temporal_address: str, model: OpenAIServer) -> dict[str, str]:
    """Give the variables that point everything at these servers, and make it quick."""
    return {
        "REDIS_URL": redis_url,
        "DATABASE_URL": database_url,
        "TEMPORAL_ADDRESS": temporal_address,
        "LLM_PROXY_URL": model.url,
        "SUMMARY_MODEL": SUMMARY_MODEL,
        "EMBEDDING_MODEL": EMBEDDING_MODEL,
        "MEM0_BACKEND": "open_source",
        "LINGER_SECONDS": "1",
        # A machine that stands still for a second is not a Redis that is away.
        "SECTION_REDIS_SECONDS": "10",
        "RECORD_SECONDS": str(RECORD_SECONDS),
        "SHUTDOWN_SECONDS": "2",
    }


@pytest.fixture
def environment(
    monkeypatch: pytest.MonkeyPatch,
    redis_url: str,
    database_url: str,
    temporal_namespace: str,
    temporal_address: str,
    model: OpenAIServer,
) -> None:
    """Point every setting at this test's own servers."""
    servers = settings_of(redis_url, database_url, temporal_address, model)
    for name, value in {**servers, "TEMPORAL_NAMESPACE": temporal_namespace}.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
async def resources(environment: None) -> AsyncIterator[Resources]:
    async with open_resources() as opened:
        yield opened


@pytest.fixture
async def worker(resources: Resources) -> AsyncIterator[None]:
    async with running_workers():
        yield


@pytest.fixture
async def memory(environment: None) -> AsyncIterator[MemoryClient]:
    # Longer than Redis' disk may stand still here: what a turn may take is tested elsewhere.
    async with MemoryClient.connect(seconds=RECORD_SECONDS) as client:
        yield client


@pytest.fixture
async def mem0(environment: None, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Mem0Server]:
    """Keep memories on a stand-in for the hosted platform, where nothing lands late."""
    async with Mem0Server() as server:
        monkeypatch.setenv("MEM0_BACKEND", "platform")
        monkeypatch.setenv("MEM0_API_KEY", API_KEY)
        monkeypatch.setenv("MEM0_HOST", server.url)
        monkeypatch.setenv("MEM0_GRACE_SECONDS", "0.01")
        yield server
