"""The two models that come from packages, for real, behind one proxy for the whole module."""

import asyncio
import json
import math
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import pytest_asyncio

from services.domain.errors import InvalidInputError, ModelRefusedError
from services.llm_proxy.client import ModelClient
from services.llm_proxy.upstreams.chat_server import open_chat_server, smollm2_file
from tests.integration.llm_proxy.conftest import WORKING, WORKING_SECONDS, running_proxy

pytestmark = pytest.mark.asyncio(loop_scope="module")
CHAT, E5 = "smollm2-135m-instruct", "multilingual-e5-small"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def url() -> AsyncIterator[str]:
    async with running_proxy(embedded_models=True, summary_model=CHAT, embedding_model=E5, **WORKING) as address:
        yield address


@pytest_asyncio.fixture(loop_scope="module")
async def http(url: str) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=url, timeout=WORKING_SECONDS, trust_env=False) as client:
        yield client


@pytest_asyncio.fixture(loop_scope="module")
async def model_client(url: str) -> AsyncIterator[ModelClient]:
    async with ModelClient.open(url, timeout_completion=WORKING_SECONDS, timeout_embedding=WORKING_SECONDS) as client:
        yield client


def chat(content: str, **more: Any) -> dict[str, Any]:
    return {
        "model": CHAT,
        "messages": [{"role": "user", "content": content}],
        "max_tokens": 24,
        "temperature": 0,
        **more,
    }


def cosine(one: list[float], other: list[float]) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True))


async def test_both_models_are_listed_and_ready(http: httpx.AsyncClient) -> None:
    assert {card["id"] for card in (await http.get("/v1/models")).json()["data"]} == {CHAT, E5}
    ready = await http.get("/ready")
    assert ready.status_code == 200
    is_well = {"answers": True, "circuit": "closed"}
    assert ready.json()["upstreams"] == {"embedded-e5": is_well, "embedded-chat": is_well}


async def test_a_completion_is_real_honest_and_the_same_again(http: httpx.AsyncClient) -> None:
    answers = [(await http.post("/v1/chat/completions", json=chat("Name a colour."))).json() for _ in range(2)]
    assert answers[0]["choices"][0]["message"]["content"]
    assert answers[0]["choices"] == answers[1]["choices"]
    usage = answers[0]["usage"]
    assert 5 < usage["prompt_tokens"] < 60
    assert 0 < usage["completion_tokens"] <= 24
    longer = (await http.post("/v1/chat/completions", json=chat("Name a colour. " * 20))).json()["usage"]
    assert longer["prompt_tokens"] > usage["prompt_tokens"] + 60


async def test_a_stream_says_what_the_whole_answer_says(http: httpx.AsyncClient) -> None:
    whole = (await http.post("/v1/chat/completions", json=chat("Say hello."))).json()
    asked = chat("Say hello.", stream=True, stream_options={"include_usage": True})
    events = (await http.post("/v1/chat/completions", json=asked)).text.strip().split("\n\n")
    assert events[-1] == "data: [DONE]"
    chunks = [json.loads(event.removeprefix("data: ")) for event in events[:-1]]
    said = "".join(choice["delta"].get("content") or "" for chunk in chunks for choice in chunk["choices"])
    assert said == whole["choices"][0]["message"]["content"]
    assert chunks[-1]["usage"]["completion_tokens"] == whole["usage"]["completion_tokens"]


async def test_a_json_schema_is_held_to(model_client: ModelClient) -> None:
    schema = {
        "type": "object",
        "properties": {"city": {"type": "string", "maxLength": 20}, "big": {"type": "boolean"}},
        "required": ["city", "big"],
        "additionalProperties": False,
    }
    messages = [{"role": "user", "content": "Which city is the capital of Peru?"}]
    answer = await model_client.complete(model=CHAT, messages=messages, max_tokens=80, json_schema=schema)
    assert answer.finish_reason == "stop"
    parsed = json.loads(answer.text)
    assert parsed.keys() == {"city", "big"}
    assert isinstance(parsed["big"], bool)


async def test_a_chat_that_is_too_long_is_refused(http: httpx.AsyncClient, model_client: ModelClient) -> None:
    answer = await http.post("/v1/chat/completions", json=chat("word " * 6000))
    assert answer.status_code == 400
    assert answer.json()["error"].keys() == {"message", "type", "param", "code"}
    with pytest.raises(ModelRefusedError):
        await model_client.complete(model=CHAT, messages=chat("word " * 6000)["messages"], max_tokens=5)


async def test_a_question_finds_its_passage(model_client: ModelClient) -> None:
    passages = ["I moved to Lima in March.", "The invoice is due on Friday.", "My dog is called Bruno."]
    vectors = await model_client.embed(model=E5, texts=passages, input_type="passage")
    assert [len(vector) for vector in vectors] == [384] * 3
    assert [math.hypot(*vector) for vector in vectors] == [pytest.approx(1, abs=1e-5)] * 3
    for index, question in enumerate(["Where do I live?", "When must I pay?", "What is my pet's name?"]):
        [asked] = await model_client.embed(model=E5, texts=[question], input_type="query")
        scores = [cosine(asked, vector) for vector in vectors]
        assert scores.index(max(scores)) == index


async def test_query_and_passage_differ_and_a_batch_equals_singles(model_client: ModelClient) -> None:
    texts = [f"Sentence number {number} about the weather." for number in range(40)]
    passages = await model_client.embed(model=E5, texts=texts, input_type="passage")
    queries = await model_client.embed(model=E5, texts=texts[:1], input_type="query")
    assert cosine(passages[0], queries[0]) < 0.9999
    for number in (0, 15, 16, 39):
        [single] = await model_client.embed(model=E5, texts=[texts[number]], input_type="passage")
        assert single == pytest.approx(passages[number], abs=1e-5)


async def test_embedding_usage_counts_tokens(http: httpx.AsyncClient) -> None:
    one = (await http.post("/v1/embeddings", json={"model": E5, "input": "hello"})).json()["usage"]
    two = (await http.post("/v1/embeddings", json={"model": E5, "input": ["hello", "hello"]})).json()["usage"]
    assert 3 < one["prompt_tokens"] < 10
    assert two["total_tokens"] == 2 * one["total_tokens"]


async def test_fewer_dimensions_are_of_length_one_again(http: httpx.AsyncClient) -> None:
    answer = await http.post("/v1/embeddings", json={"model": E5, "input": "hello", "dimensions": 64})
    vector = answer.json()["data"][0]["embedding"]
    assert len(vector) == 64
    assert math.hypot(*vector) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize(
    ("more", "param"),
    [
        ({"input": "hello", "dimensions": 385}, "dimensions"),
        ({"input": [1, 2, 3]}, "input"),
        ({"input": ["short", "word " * 9000]}, "input[1]"),
    ],
)
async def test_what_the_embedder_cannot_take_is_a_clean_refusal(
    http: httpx.AsyncClient, more: dict[str, Any], param: str
) -> None:
    answer = await http.post("/v1/embeddings", json={"model": E5, **more})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)


async def test_odd_characters_are_embedded_whole(model_client: ModelClient) -> None:
    [zero, cut, _odd] = await model_client.embed(model=E5, texts=["cat\0dog", "cat", "\ud800"], input_type="passage")
    assert cosine(zero, cut) < 0.999


async def test_the_embedder_does_not_complete(http: httpx.AsyncClient) -> None:
    for stream in (False, True):
        answer = await http.post("/v1/chat/completions", json={**chat("Hello"), "model": E5, "stream": stream})
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, "model")


async def test_work_in_the_models_does_not_hold_up_health(http: httpx.AsyncClient) -> None:
    batch = {"model": E5, "input": [f"number {number}" for number in range(32)]}
    work = [asyncio.create_task(http.post("/v1/embeddings", json=batch)) for _ in range(2)]
    work += [asyncio.create_task(http.post("/v1/chat/completions", json=chat("Tell a story."))) for _ in range(4)]
    answered = 0
    while not all(task.done() for task in work):
        assert (await http.get("/health")).status_code == 200
        answered += not all(task.done() for task in work)
        await asyncio.sleep(0.02)
    assert [task.result().status_code for task in work] == [200] * 6
    # Held up by the models it would have answered once, when they were done.
    assert answered > 5


async def test_the_models_own_port_takes_no_strangers() -> None:
    async with (
        open_chat_server(smollm2_file()) as server,
        httpx.AsyncClient(timeout=WORKING_SECONDS, trust_env=False) as stranger,
    ):
        asked = await stranger.post(f"{server.url}/v1/chat/completions", json=chat("Hello"))
        assert asked.status_code == 401
        key = {"Authorization": f"Bearer {server.api_key}"}
        assert (await stranger.get(f"{server.url}/slots", headers=key)).status_code == 501
        [card] = (await stranger.get(f"{server.url}/v1/models", headers=key)).json()["data"]
        assert card["meta"]["n_ctx"] == 4096, "what one slot takes"
    async with httpx.AsyncClient(timeout=60, trust_env=False) as late:
        with pytest.raises(httpx.ConnectError):
            await late.get(f"{server.url}/health")


async def test_a_file_that_is_no_model_is_named_at_start(tmp_path: Any) -> None:
    (tmp_path / "broken.gguf").write_bytes(b"GGUF but not really")
    with pytest.raises(InvalidInputError, match="EMBEDDED_GGUF"):
        async with open_chat_server(tmp_path / "broken.gguf"):
            pass
