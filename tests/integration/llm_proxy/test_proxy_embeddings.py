"""Embedding requests that share an upstream request, and answers that are kept."""

import asyncio
import base64
import struct
from collections.abc import AsyncIterator, Sequence
from typing import Any

import httpx
import openai
import pytest

from services.llm_proxy.client import ModelClient
from tests.integration.llm_proxy.conftest import StartProxy
from tests.support.openai_server import EMBEDDINGS, Fault, Held, OpenAIServer, Reset, Slow, Status, hashed_vector

CACHE_BYTES = 10_000_000


@pytest.fixture
async def url(upstream: OpenAIServer, start_proxy: StartProxy) -> str:
    return await start_proxy(
        openai_compatible_url=upstream.url, llm_proxy_embedding_cache_bytes=CACHE_BYTES, embedding_timeout=60
    )


@pytest.fixture
async def http(url: str) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=url, timeout=60, trust_env=False) as client:
        yield client


async def embed(http: httpx.AsyncClient, given: Any, **more: Any) -> httpx.Response:
    return await http.post("/v1/embeddings", json={"model": "embedding-model", "input": given, **more})


def vectors(answer: httpx.Response) -> list[Any]:
    assert answer.status_code == 200, answer.text
    assert [one["index"] for one in answer.json()["data"]] == list(range(len(answer.json()["data"])))
    return [one["embedding"] for one in answer.json()["data"]]


def about(text: str, **asked: Any) -> Any:
    return pytest.approx(hashed_vector(text, asked))


async def until_looked_up(http: httpx.AsyncClient, inputs: int) -> None:
    """Wait until the proxy has taken so many inputs: what has not left by then is waiting for company."""
    line = f'llm_proxy_embedding_inputs_total{{from_cache="no"}} {inputs}.0'
    while line not in (await http.get("/metrics")).text:
        await asyncio.sleep(0.01)


async def test_many_callers_share_few_requests_and_each_gets_its_own(
    http: httpx.AsyncClient, upstream: OpenAIServer
) -> None:
    all_are_there = asyncio.Event()
    upstream.fault = Held(all_are_there)
    texts = [[f"text {caller}.{number}" for number in range(1 + caller % 3)] for caller in range(64)]
    asked = [asyncio.create_task(embed(http, own)) for own in texts]
    await until_looked_up(http, sum(map(len, texts)))
    all_are_there.set()
    answers = await asyncio.gather(*asked)
    for own, answer in zip(texts, answers, strict=True):
        assert vectors(answer) == [about(text) for text in own]
    assert upstream.calls[EMBEDDINGS] <= 10
    assert max(len(body["input"]) for body in upstream.asked(EMBEDDINGS)) <= 64
    used = sum(answer.json()["usage"]["prompt_tokens"] for answer in answers)
    assert used == sum(len(text.split()) for own in texts for text in own), "no token is lost or counted twice"


async def test_a_bad_input_fails_its_caller_only(http: httpx.AsyncClient, upstream: OpenAIServer) -> None:
    answers = await with_two_ahead(http, upstream, ("one", "bad", "two", "three"), Status(400))
    assert [answer.status_code for answer in answers] == [200, 400, 200, 200]
    assert answers[1].json()["error"]["code"] == "scripted"
    assert vectors(answers[3]) == [about("three")]


async def test_a_reset_is_not_asked_again_for_each(http: httpx.AsyncClient, upstream: OpenAIServer) -> None:
    answers = await with_two_ahead(http, upstream, ("one", "bad", "two"), Reset())
    assert [answer.status_code for answer in answers] == [502] * 3
    assert upstream.calls[EMBEDDINGS] == 3


async def with_two_ahead(
    http: httpx.AsyncClient, upstream: OpenAIServer, texts: Sequence[str], fault: Fault
) -> list[httpx.Response]:
    """Two requests are answered once all of these wait, so that these are merged; one with a bad text gets `fault`."""
    all_are_there = asyncio.Event()

    def refuses(body: dict[str, Any]) -> Fault | None:
        if "ahead" in str(body.get("input")):
            return Held(all_are_there)
        return fault if "bad" in body.get("input", ()) else None

    upstream.refuses = refuses
    ahead = [asyncio.create_task(embed(http, f"ahead {number}")) for number in range(2)]
    while upstream.calls[EMBEDDINGS] < 2:
        await asyncio.sleep(0.01)
    asked = []
    for number, text in enumerate(texts, 1):
        asked.append(asyncio.create_task(embed(http, text)))
        await until_looked_up(http, 2 + number)
    all_are_there.set()
    answers: list[httpx.Response] = await asyncio.gather(*asked)
    await asyncio.gather(*ahead)
    return answers


async def test_who_hangs_up_takes_nobody_along(http: httpx.AsyncClient, upstream: OpenAIServer) -> None:
    staying = asyncio.create_task(embed(http, "staying"))
    leaving = [asyncio.create_task(embed(http, f"leaving {number}")) for number in range(5)]

    async def leave() -> httpx.Response:
        for one in leaving:
            one.cancel()
        return await embed(http, "last")

    upstream.fault = Slow(0.3)
    while upstream.calls[EMBEDDINGS] < 2:
        await asyncio.sleep(0.01)
    last = await leave()
    assert vectors(last) == [about("last")]
    assert vectors(await staying) == [about("staying")]


async def test_when_all_have_hung_up_the_upstream_is_left_alone(
    http: httpx.AsyncClient, upstream: OpenAIServer
) -> None:
    upstream.fault = Slow(30)
    asked = [asyncio.create_task(embed(http, f"text {number}")) for number in range(4)]
    while upstream.calls[EMBEDDINGS] < 2:
        await asyncio.sleep(0.01)
    for one in asked:
        one.cancel()
    while upstream.abandoned < 2:
        await asyncio.sleep(0.01)
    upstream.fault = None
    assert vectors(await embed(http, "next")) == [about("next")]
    assert upstream.calls[EMBEDDINGS] == 3


async def test_what_was_embedded_before_is_not_asked_again(http: httpx.AsyncClient, upstream: OpenAIServer) -> None:
    first = await embed(http, ["one of them", "two"])
    assert first.json()["usage"] == {"prompt_tokens": 4, "total_tokens": 4}
    again = await embed(http, ["two", "one of them"])
    assert vectors(again) == [about("two"), about("one of them")]
    assert again.json()["usage"] == {
        "prompt_tokens": 4,
        "total_tokens": 4,
        "prompt_tokens_details": {"cached_tokens": 4},
    }
    mixed = await embed(http, ["new", "two", "new", "three"])
    assert vectors(mixed) == [about("new"), about("two"), about("new"), about("three")]
    assert [body["input"] for body in upstream.asked(EMBEDDINGS)] == [["one of them", "two"], ["new", "new", "three"]]
    assert 'llm_proxy_embedding_inputs_total{from_cache="yes"} 3.0' in (await http.get("/metrics")).text


async def test_another_question_is_asked_again(http: httpx.AsyncClient, upstream: OpenAIServer) -> None:
    upstream.models.append("other-model")
    for more in ({}, {"input_type": "query"}, {"input_type": "passage"}, {"dimensions": 4}, {"model": "other-model"}):
        for _ in range(2):
            (await embed(http, "text", **more)).raise_for_status()
    for tokens in ([1, 2], [[1, 2]], "[1, 2]"):
        (await embed(http, tokens)).raise_for_status()
    assert upstream.calls[EMBEDDINGS] == 7


async def test_both_encodings_come_from_the_same_entry(http: httpx.AsyncClient, upstream: OpenAIServer) -> None:
    numbers = vectors(await embed(http, "text"))[0]
    packed = vectors(await embed(http, "text", encoding_format="base64"))[0]
    assert struct.unpack("<8f", base64.b64decode(packed)) == pytest.approx(numbers, abs=1e-6)
    assert upstream.calls[EMBEDDINGS] == 1


async def test_a_failure_is_not_kept(http: httpx.AsyncClient, upstream: OpenAIServer) -> None:
    upstream.fault = Status(500)
    assert (await embed(http, "text")).status_code == 500
    upstream.fault = None
    assert vectors(await embed(http, "text")) == [about("text")]


async def test_known_texts_need_no_upstream(http: httpx.AsyncClient, upstream: OpenAIServer) -> None:
    await embed(http, "known")
    await upstream.down()
    assert vectors(await embed(http, "known")) == [about("known")]
    assert (await embed(http, ["known", "new"])).status_code == 502


async def test_the_openai_client_reads_what_came_from_the_cache(url: str) -> None:
    async with openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0) as client:
        for _ in range(2):
            answer = await client.embeddings.create(model="embedding-model", input="text")
            assert answer.data[0].embedding == pytest.approx(hashed_vector("text", {}), abs=1e-6)
            assert answer.usage.prompt_tokens == 1


async def test_callers_of_the_model_client_are_merged_too(
    url: str, http: httpx.AsyncClient, upstream: OpenAIServer
) -> None:
    all_are_there = asyncio.Event()
    upstream.fault = Held(all_are_there)
    async with ModelClient.open(url) as client:

        async def ask(number: int) -> list[list[float]]:
            texts, tenant = [f"text {number}"], str(number)
            return await client.embed(model="embedding-model", texts=texts, input_type="query", tenant=tenant)

        asked = [asyncio.create_task(ask(number)) for number in range(30)]
        await until_looked_up(http, len(asked))
        all_are_there.set()
        embedded = await asyncio.gather(*asked)
    assert embedded == [[about(f"text {number}")] for number in range(30)]
    assert upstream.calls[EMBEDDINGS] <= 6
