import asyncio
import json
import uuid
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import connect

from tests.integration.llm_proxy.conftest import StartProxy
from tests.support.openai_server import OpenAIServer, Status

CHAT: dict[str, Any] = {"model": "chat-model", "messages": [{"role": "user", "content": "Hello"}]}
EMBEDDING: dict[str, Any] = {"model": "embedding-model", "input": "Hello"}
MINE = {"X-Request-ID": "turn-17"}


@pytest.mark.parametrize(
    ("path", "body"),
    [("chat/completions", CHAT), ("chat/completions", {**CHAT, "stream": True}), ("embeddings", EMBEDDING)],
)
async def test_the_callers_id_goes_there_and_back(
    http: httpx.AsyncClient, upstream: OpenAIServer, path: str, body: dict[str, Any]
) -> None:
    answer = await http.post(f"/v1/{path}", json=body, headers=MINE)
    assert answer.is_success
    assert answer.headers.get_list("X-Request-ID") == ["turn-17"]
    assert upstream.headers[-1]["x-request-id"] == "turn-17"


async def test_one_that_is_made_goes_upstream_too(http: httpx.AsyncClient, upstream: OpenAIServer) -> None:
    answer = await http.post("/v1/chat/completions", json=CHAT)
    assert uuid.UUID(answer.headers["X-Request-ID"])
    assert upstream.headers[-1]["x-request-id"] == answer.headers["X-Request-ID"]


async def test_requests_at_once_keep_their_ids_apart(http: httpx.AsyncClient, upstream: OpenAIServer) -> None:
    async def ask(name: str) -> str:
        body = {**CHAT, "messages": [{"role": "user", "content": name}]}
        answer = await http.post("/v1/chat/completions", json=body, headers={"X-Request-ID": name})
        return str(answer.headers["X-Request-ID"])

    names = [f"turn-{number}" for number in range(20)]
    assert await asyncio.gather(*(ask(name) for name in names)) == names
    asked = [
        (body["messages"][0]["content"], headers.get("x-request-id"))
        for (_, body), headers in zip(upstream.requests, upstream.headers, strict=True)
        if body
    ]
    assert len(asked) == 20
    assert all(content == request_id for content, request_id in asked)


async def test_errors_have_it_too(http: httpx.AsyncClient, upstream: OpenAIServer) -> None:
    upstream.fault = Status(500)
    answers = [
        await http.post("/v1/chat/completions", json=CHAT, headers=MINE),
        await http.post("/v1/chat/completions", json={}, headers=MINE),
        await http.post("/v1/chat/completions", content=b"{", headers=MINE),
        await http.get("/v1/models/unknown", headers=MINE),
        await http.get("/v1/nothing", headers=MINE),
        await http.get("/v1/chat/completions", headers=MINE),
    ]
    assert [answer.status_code for answer in answers] == [500, 400, 400, 404, 404, 405]
    assert {answer.headers.get("X-Request-ID") for answer in answers} == {"turn-17"}


async def test_who_is_refused_at_the_door_is_told_it(upstream: OpenAIServer, start_proxy: StartProxy) -> None:
    url = await start_proxy(
        openai_compatible_url=upstream.url, llm_proxy_api_key="key-1", llm_proxy_max_body_bytes=1024
    )
    async with httpx.AsyncClient(base_url=url, headers=MINE, timeout=30, trust_env=False) as http:
        stranger = await http.post("/v1/chat/completions", json=CHAT)
        key = {"Authorization": "Bearer key-1"}
        wordy = await http.post("/v1/chat/completions", content=b"x" * 2000, headers=key)
    assert [stranger.status_code, wordy.status_code] == [401, 413]
    assert {stranger.headers["X-Request-ID"], wordy.headers["X-Request-ID"]} == {"turn-17"}


async def test_a_socket_keeps_the_id_of_its_handshake(proxy_url: str, upstream: OpenAIServer) -> None:
    address = proxy_url.replace("http://", "ws://") + "/v1/chat/completions"
    async with connect(address, proxy=None, additional_headers=MINE) as socket:
        assert socket.response is not None
        assert socket.response.headers["X-Request-ID"] == "turn-17"
        await socket.send(json.dumps(CHAT))
        while json.loads(await socket.recv()) != {"done": True}:
            pass
    assert upstream.headers[-1]["x-request-id"] == "turn-17"
