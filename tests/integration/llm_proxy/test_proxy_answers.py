import asyncio
import base64
import struct
from typing import Any

import httpx
import pytest

from tests.integration.llm_proxy.conftest import StartProxy
from tests.support.openai_server import COMPLETIONS, EMBEDDINGS, MODELS, OpenAIServer, hashed_vector

HELLO: dict[str, Any] = {"model": "chat-model", "messages": [{"role": "user", "content": "Hello there"}]}


async def test_a_completion_is_passed_through(http: httpx.AsyncClient, upstream: OpenAIServer) -> None:
    answer = await http.post("/v1/chat/completions", json=HELLO)
    assert answer.status_code == 200
    assert answer.json()["choices"][0]["message"]["content"] == "You said: Hello there"
    assert answer.json()["usage"] == {"prompt_tokens": 2, "completion_tokens": 4, "total_tokens": 6}
    assert upstream.asked(COMPLETIONS) == [{**HELLO, "stream": False}]


async def test_everything_that_is_asked_reaches_the_upstream(http: httpx.AsyncClient, upstream: OpenAIServer) -> None:
    asked = {
        **HELLO,
        "response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "object"}}},
        "tools": [{"type": "function", "function": {"name": "look", "parameters": {}}}],
        "tool_choice": "auto",
        "seed": 7,
        "stop": ["END"],
        "vendor_option": {"deep": [1, None]},
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "look ☕ \u2028"}]},
            {"role": "assistant", "content": None, "tool_calls": [{"id": "1", "type": "function", "function": {}}]},
            {"role": "tool", "content": "seen", "tool_call_id": "1"},
        ],
        "stream": False,
    }
    assert (await http.post("/v1/chat/completions", json=asked)).status_code == 200
    assert upstream.asked(COMPLETIONS) == [asked]


async def test_tool_calls_come_back(http: httpx.AsyncClient, upstream: OpenAIServer) -> None:
    call = {"id": "1", "type": "function", "function": {"name": "look", "arguments": "{}"}}
    upstream.answer = lambda _request: {"role": "assistant", "content": None, "tool_calls": [call]}
    answer = await http.post("/v1/chat/completions", json=HELLO)
    assert answer.json()["choices"][0]["message"]["tool_calls"] == [call]


async def test_a_lone_surrogate_survives_the_way_there_and_back(http: httpx.AsyncClient) -> None:
    body = b'{"model": "chat-model", "messages": [{"role": "user", "content": "odd \\ud800"}]}'
    answer = await http.post("/v1/chat/completions", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 200
    assert answer.json()["choices"][0]["message"]["content"] == "You said: odd \ud800"


async def test_embeddings_keep_the_order_of_the_inputs(http: httpx.AsyncClient, upstream: OpenAIServer) -> None:
    answer = await http.post(
        "/v1/embeddings",
        json={"model": "embedding-model", "input": ["first one", "second", "third"], "input_type": "query"},
    )
    assert answer.status_code == 200
    assert answer.json() == {
        "object": "list",
        "data": [
            {"object": "embedding", "index": index, "embedding": pytest.approx(hashed_vector(text, {}))}
            for index, text in enumerate(["first one", "second", "third"])
        ],
        "model": "embedding-model",
        "usage": {"prompt_tokens": 4, "total_tokens": 4},
    }
    # `input_type` is ours: a strict server would refuse a member that it does not know.
    assert upstream.asked(EMBEDDINGS) == [{"model": "embedding-model", "input": ["first one", "second", "third"]}]


@pytest.mark.parametrize(("given", "count"), [("one text", 1), ([1, 2, 3], 1), ([[1, 2], [3]], 2), ([""], 1)])
async def test_an_input_may_be_text_or_tokens(http: httpx.AsyncClient, given: Any, count: int) -> None:
    answer = await http.post("/v1/embeddings", json={"model": "embedding-model", "input": given})
    assert [one["index"] for one in answer.json()["data"]] == list(range(count))


async def test_base64_holds_the_same_vector(http: httpx.AsyncClient) -> None:
    request = {"model": "embedding-model", "input": "text", "dimensions": 5}
    numbers = (await http.post("/v1/embeddings", json=request)).json()["data"][0]["embedding"]
    packed = await http.post("/v1/embeddings", json={**request, "encoding_format": "base64"})
    raw = base64.b64decode(packed.json()["data"][0]["embedding"])
    assert len(numbers) == 5
    assert struct.unpack("<5f", raw) == pytest.approx(numbers, abs=1e-6)


async def test_models_are_listed_and_shown(http: httpx.AsyncClient, upstream: OpenAIServer) -> None:
    upstream.models.append("org/model:7b")
    listed = (await http.get("/v1/models")).json()
    assert listed["object"] == "list"
    assert [card["id"] for card in listed["data"]] == ["chat-model", "embedding-model", "org/model:7b"]
    shown = (await http.get("/v1/models/org/model:7b")).json()
    assert shown == {"id": "org/model:7b", "object": "model", "created": 1, "owned_by": "tests"}


async def test_the_list_of_models_is_remembered(http: httpx.AsyncClient, upstream: OpenAIServer) -> None:
    for _ in range(5):
        await http.post("/v1/chat/completions", json=HELLO)
    assert upstream.calls[MODELS] == 1


async def test_a_name_without_a_tag_means_latest(http: httpx.AsyncClient, upstream: OpenAIServer) -> None:
    upstream.models[:] = ["bge-m3:latest"]
    assert (await http.get("/v1/models/bge-m3")).json()["id"] == "bge-m3"


async def test_slow_completions_do_not_hold_up_health(upstream: OpenAIServer, start_proxy: StartProxy) -> None:
    answering = asyncio.Event()

    async def late(_: object) -> str:
        await answering.wait()
        return "at last"

    upstream.answer = late
    url = await start_proxy(
        openai_compatible_url=upstream.url, summary_model="chat-model", embedding_model="embedding-model"
    )
    async with httpx.AsyncClient(base_url=url, timeout=60) as http:
        asking = [asyncio.create_task(http.post("/v1/chat/completions", json=HELLO)) for _ in range(20)]
        while upstream.calls[COMPLETIONS] < len(asking):
            await asyncio.sleep(0.01)
        assert (await http.get("/health")).json() == {"status": "ok"}
        answering.set()
        assert [answer.status_code for answer in await asyncio.gather(*asking)] == [200] * len(asking)


async def test_ready_names_the_upstreams_and_the_models(http: httpx.AsyncClient, upstream: OpenAIServer) -> None:
    ready = await http.get("/ready")
    assert ready.status_code == 200
    assert ready.json() == {
        "status": "ready",
        "models": {
            "summary": {"model": "chat-model", "ready": True},
            "embedding": {"model": "embedding-model", "ready": True},
        },
        "upstreams": {"openai-compatible": {"answers": True, "circuit": "closed"}},
    }
    await upstream.down()
    await asyncio.sleep(1.1)
    down = await http.get("/ready")
    assert (down.status_code, down.json()["upstreams"]) == (
        503,
        {"openai-compatible": {"answers": False, "circuit": "closed"}},
    )
    assert (await http.get("/health")).status_code == 200
    await upstream.up()
    await asyncio.sleep(1.1)
    assert (await http.get("/ready")).status_code == 200


async def test_ready_needs_both_models(http: httpx.AsyncClient, upstream: OpenAIServer) -> None:
    upstream.models.remove("embedding-model")
    ready = await http.get("/ready")
    assert ready.status_code == 503
    assert ready.json()["models"]["embedding"] == {"model": "embedding-model", "ready": False}
