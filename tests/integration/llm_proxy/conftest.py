from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import httpx
import pytest

from services.llm_proxy.app import create_app
from services.llm_proxy.client import ModelClient
from services.settings import ProxySettings
from tests.support.openai_server import OpenAIServer
from tests.support.served import served

StartProxy = Callable[..., Awaitable[str]]
# For tests of the proxy's time limit, where it takes the place of the fixture `time_limit`. It holds for what is to be
# answered, too: a machine that stands still for a second or two is not an upstream that is late.
HASTY_SECONDS = 3.0
# What models that really work may take on cores that others keep busy: a test's time limit says when it is too long.
WORKING_SECONDS = 150.0
WORKING: dict[str, Any] = {"completion_timeout": WORKING_SECONDS, "embedding_timeout": WORKING_SECONDS}


@asynccontextmanager
async def running_proxy(**settings: Any) -> AsyncIterator[str]:
    """Serve the proxy on a free port; the value is its address.

    Its cache is off unless asked for: a test that embeds the same text again means to ask the upstream again.
    """
    app = create_app(ProxySettings(_env_file=None, **{"llm_proxy_embedding_cache_bytes": 0, **settings}))
    async with served(app) as url:
        yield url


@pytest.fixture
async def start_proxy() -> AsyncIterator[StartProxy]:
    """Start a proxy with these settings; it stops after the test."""
    async with AsyncExitStack() as stack:

        async def start(**settings: Any) -> str:
            return await stack.enter_async_context(running_proxy(**settings))

        yield start


@pytest.fixture
async def upstream() -> AsyncIterator[OpenAIServer]:
    async with OpenAIServer() as server:
        yield server


@pytest.fixture
def time_limit() -> float:
    """How many seconds the proxy gives an upstream: so many that a busy machine is not taken for a slow upstream."""
    return 60.0


@pytest.fixture
async def proxy_url(upstream: OpenAIServer, start_proxy: StartProxy, time_limit: float) -> str:
    """A proxy in front of `upstream`."""
    return await start_proxy(
        openai_compatible_url=upstream.url,
        summary_model="chat-model",
        embedding_model="embedding-model",
        completion_timeout=time_limit,
        embedding_timeout=time_limit,
    )


@pytest.fixture
async def http(proxy_url: str) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=proxy_url, timeout=20, trust_env=False) as client:
        yield client


@pytest.fixture
async def patient(upstream: OpenAIServer, start_proxy: StartProxy) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a proxy that does not give up by itself as long as a test may take."""
    url = await start_proxy(openai_compatible_url=upstream.url, completion_timeout=600, embedding_timeout=600)
    async with httpx.AsyncClient(base_url=url, timeout=600, trust_env=False) as client:
        yield client


@pytest.fixture
async def model_client(proxy_url: str) -> AsyncIterator[ModelClient]:
    async with ModelClient.open(proxy_url, timeout_completion=30, timeout_embedding=30) as client:
        yield client
