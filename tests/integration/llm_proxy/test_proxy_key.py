import asyncio
import os
import sys
from collections.abc import AsyncIterator

import httpx
import openai
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from services.domain.errors import ModelUnavailableError
from services.llm_proxy.client import ModelClient
from tests.integration.llm_proxy.conftest import StartProxy
from tests.integration.llm_proxy.upstream_files import question
from tests.support.openai_server import COMPLETIONS, OpenAIServer

KEY = "k-7f3a"


@pytest.fixture
async def url(upstream: OpenAIServer, start_proxy: StartProxy) -> str:
    return await start_proxy(
        openai_compatible_url=upstream.url,
        llm_proxy_api_key=KEY,
        summary_model="chat-model",
        embedding_model="embedding-model",
    )


@pytest.fixture
async def http(url: str) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=url, timeout=20, trust_env=False) as client:
        yield client


@pytest.mark.parametrize(
    "credential",
    [None, "", "Bearer", f"Basic {KEY}", KEY, f"Bearer {KEY}x", f"Bearer {KEY[:-1]}", "Bearer ñ"],
)
async def test_without_the_key_nothing_is_answered(
    http: httpx.AsyncClient, upstream: OpenAIServer, credential: str | None
) -> None:
    headers = {} if credential is None else {b"Authorization": credential.encode("latin-1")}
    answers = [
        await http.post("/v1/chat/completions", json=question("a"), headers=headers),
        await http.post("/v1/chat/completions", content=b"{", headers=headers),
        await http.post("/v1/embeddings", json={}, headers=headers),
        *[await http.get(path, headers=headers) for path in ("/v1/models", "/metrics", "/docs", "/nothing")],
    ]
    for answer in answers:
        assert answer.status_code == 401
        assert answer.headers["WWW-Authenticate"] == "Bearer"
        assert answer.json()["error"]["code"] == "invalid_api_key"
        assert KEY not in answer.text
    assert upstream.calls[COMPLETIONS] == 0


async def test_probes_need_no_key(http: httpx.AsyncClient) -> None:
    assert [(await http.get(path)).status_code for path in ("/health", "/ready")] == [200, 200]


async def test_with_the_key_all_is_as_ever(http: httpx.AsyncClient) -> None:
    headers = {"Authorization": f"bearer {KEY}"}
    assert (await http.post("/v1/chat/completions", json=question("a"), headers=headers)).status_code == 200
    assert (await http.get("/metrics", headers=headers)).status_code == 200


async def test_the_openai_client_sends_it(url: str) -> None:
    async with openai.AsyncOpenAI(base_url=f"{url}/v1", api_key=KEY, max_retries=0) as client:
        assert [model.id async for model in client.models.list()] == ["chat-model", "embedding-model"]
    async with openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="another", max_retries=0) as client:
        with pytest.raises(openai.AuthenticationError) as raised:
            await client.models.list()
    assert raised.value.code == "invalid_api_key"


async def test_a_socket_needs_it_too(url: str) -> None:
    address = f"{url.replace('http', 'ws')}/v1/chat/completions"
    with pytest.raises(InvalidStatus) as raised:
        await connect(address, proxy=None)
    assert raised.value.response.status_code == 401
    async with connect(address, proxy=None, additional_headers={"Authorization": f"Bearer {KEY}"}):
        pass


async def test_the_model_client_sends_it(url: str) -> None:
    messages = [{"role": "user", "content": "a"}]
    async with ModelClient.open(url, api_key=KEY) as client:
        assert (await client.complete(model="chat-model", messages=messages, max_tokens=5)).text == "You said: a"
        assert await client.ready()
    async with ModelClient.open(url) as client:
        with pytest.raises(ModelUnavailableError) as raised:
            await client.complete(model="chat-model", messages=messages, max_tokens=5)
    assert raised.value.status == 401


@pytest.mark.parametrize("command", [["-m", "services.llm_proxy"], ["-m", "services.cli", "proxy"]], ids=" ".join)
async def test_it_does_not_listen_beyond_loopback_without_one(command: list[str]) -> None:
    settings = {
        "LLM_PROXY_HOST": "0.0.0.0",  # noqa: S104
        "LLM_PROXY_API_KEY": "",
        "OPENAI_COMPATIBLE_URL": "http://127.0.0.1:1",
        "EMBEDDED_MODELS": "false",
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *command,
        env={**os.environ, **settings},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(60):
        stdout, stderr = await process.communicate()
    assert process.returncode
    assert b"LLM_PROXY_API_KEY: takes a key" in stderr
    assert b"Traceback" not in stderr
    assert b"listens" not in stdout + stderr
