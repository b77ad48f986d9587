import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import httpx
import pytest
import uvicorn

from services.llm_proxy.app import create_app
from services.llm_proxy.client import ModelClient
from services.settings import ProxySettings
from tests.support.openai_server import OpenAIServer

StartProxy = Callable[..., Awaitable[str]]


@asynccontextmanager
async def running_proxy(**settings: Any) -> AsyncIterator[str]:
    """Serve the proxy on a free port; the value is its address.

    Its cache is off unless asked for: a test that embeds the same text again means to ask the upstream again.
    """
    app = create_app(ProxySettings(_env_file=None, **{"llm_proxy_embedding_cache_bytes": 0, **settings}))
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning", timeout_graceful_shutdown=1))
    serving = asyncio.create_task(server.serve())
    try:
        while not server.started:
            if serving.done():
                await serving
            await asyncio.sleep(0.01)
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        await serving


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
async def proxy_url(upstream: OpenAIServer, start_proxy: StartProxy) -> str:
    """A proxy in front of `upstream`, with short time limits."""
    return await start_proxy(
        openai_compatible_url=upstream.url,
        summary_model="chat-model",
        embedding_model="embedding-model",
        completion_timeout=1,
        embedding_timeout=1,
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
    async with ModelClient.open(proxy_url, timeout_completion=5, timeout_embedding=5) as client:
        yield client
