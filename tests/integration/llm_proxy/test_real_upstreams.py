"""Two real servers behind the proxy: llama.cpp's own, in a process of its own, and Ollama.

Both run SmolLM2. Ollama is built first, which takes minutes: with it they belong to `make proof`.
"""

import asyncio
import json
import math
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
import pytest_asyncio
from openai import AsyncOpenAI
from websockets.asyncio.client import connect

from services.llm_proxy.upstreams.chat_server import smollm2_file
from tests.integration.llm_proxy.conftest import running_proxy
from tests.support.llama_server import running_llama
from tests.support.ollama_server import running_ollama

# Ollama may be built first.
pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(900), pytest.mark.slow]
MODEL = "smollm2"
KEY = "key-of-the-upstream"
REAL = ["llama.cpp", pytest.param("Ollama", marks=pytest.mark.proof)]


@dataclass(frozen=True)
class Proxied:
    """A proxy with one real upstream; `upstream` is that one's own address."""

    name: str
    url: str
    upstream: str


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=REAL)
async def real(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Proxied]:
    # Ollama's build has no vector instructions: a token takes it a third of a second.
    limits = {"completion_timeout": 120, "embedding_timeout": 120}
    if request.param == "Ollama":
        folder: Path = tmp_path_factory.mktemp("ollama")
        async with (
            running_ollama(folder, {MODEL: smollm2_file()}) as server,
            running_proxy(ollama_url_internal=server, **limits) as url,
        ):
            yield Proxied(request.param, url, server)
    else:
        async with (
            running_llama(MODEL, KEY, "embeddings") as server,
            running_proxy(openai_compatible_url=server, openai_compatible_api_key=KEY, **limits) as url,
        ):
            yield Proxied(request.param, url, server)


@pytest_asyncio.fixture(loop_scope="module")
async def client(real: Proxied) -> AsyncIterator[AsyncOpenAI]:
    async with AsyncOpenAI(base_url=f"{real.url}/v1", api_key="unused", max_retries=0, timeout=150) as opened:
        yield opened


def chat(content: str, **more: Any) -> dict[str, Any]:
    messages = [{"role": "user", "content": content}]
    return {"model": MODEL, "messages": messages, "max_tokens": 4, "temperature": 0, "seed": 1, **more}


async def test_its_model_is_listed_and_shown(client: AsyncOpenAI) -> None:
    assert [model.id.removesuffix(":latest") async for model in client.models.list()] == [MODEL]
    assert (await client.models.retrieve(MODEL)).id == MODEL


@pytest.mark.parametrize("limit", ["max_tokens", "max_completion_tokens"])
async def test_a_chat_is_answered_within_its_limit_and_counted(client: AsyncOpenAI, limit: str) -> None:
    asked = {**chat("Tell me a long story about the sea."), limit: 4}
    if limit != "max_tokens":
        del asked["max_tokens"]
    answer = await client.chat.completions.create(**asked)
    assert answer.choices[0].message.content
    assert answer.choices[0].finish_reason == "length"
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 4
    assert 5 < answer.usage.prompt_tokens < 60
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + 4


async def test_a_stream_and_a_socket_say_what_the_whole_answer_does(client: AsyncOpenAI, real: Proxied) -> None:
    asked = chat("Name a colour.")
    whole = await client.chat.completions.create(**asked)
    stream = await client.chat.completions.create(**asked, stream=True, stream_options={"include_usage": True})
    chunks = [chunk async for chunk in stream]
    text = "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)
    assert text == whole.choices[0].message.content
    assert len([chunk for chunk in chunks if chunk.choices]) > 3, "it comes in pieces"
    assert [chunk.usage for chunk in chunks if chunk.usage] == [chunks[-1].usage]
    assert whole.usage is not None
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens == whole.usage.completion_tokens
    assert chunks[-1].usage.prompt_tokens == whole.usage.prompt_tokens
    async with connect(f"{real.url.replace('http://', 'ws://')}/v1/chat/completions", proxy=None) as socket:
        await socket.send(json.dumps(asked))
        said = ""
        while (frame := json.loads(await socket.recv())) != {"done": True}:
            said += "".join(choice["delta"].get("content") or "" for choice in frame["choices"])
        assert said == text


async def test_a_schema_is_held_to(client: AsyncOpenAI) -> None:
    schema = {
        "type": "object",
        "properties": {"colour": {"enum": ["red", "blue"]}, "is_dark": {"type": "boolean"}},
        "required": ["colour", "is_dark"],
        "additionalProperties": False,
    }
    form = {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema, "strict": True}}
    answer = await client.chat.completions.create(
        **{**chat("Name a colour."), "max_tokens": 60, "response_format": form}
    )
    assert answer.choices[0].finish_reason == "stop"
    parsed = json.loads(answer.choices[0].message.content or "")
    assert parsed.keys() == {"colour", "is_dark"}
    assert parsed["colour"] in ("red", "blue")
    assert isinstance(parsed["is_dark"], bool)


async def test_vectors_come_in_order_and_in_both_encodings(client: AsyncOpenAI) -> None:
    texts = ["My dog is called Bruno.", "The invoice is due on Friday."]
    packed = await client.embeddings.create(model=MODEL, input=texts)
    numbers = await client.embeddings.create(model=MODEL, input=texts, encoding_format="float")
    singles = [await client.embeddings.create(model=MODEL, input=text, encoding_format="float") for text in texts]
    for index, single in enumerate(singles):
        assert len(numbers.data[index].embedding) == 576
        assert math.hypot(*numbers.data[index].embedding) == pytest.approx(1, abs=1e-3)
        assert numbers.data[index].embedding == pytest.approx(single.data[0].embedding, abs=1e-3)
        assert packed.data[index].embedding == pytest.approx(numbers.data[index].embedding, abs=1e-6)
    assert numbers.data[0].embedding != pytest.approx(numbers.data[1].embedding, abs=1e-2)
    assert numbers.usage.prompt_tokens > 5


async def test_dimensions_that_it_cannot_give_are_refused(client: AsyncOpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as raised:
        await client.embeddings.create(model=MODEL, input="text", dimensions=64)
    assert raised.value.param == "dimensions"


async def test_tokens_are_embedded_or_refused(client: AsyncOpenAI, real: Proxied) -> None:
    if real.name == "Ollama":
        with pytest.raises(openai.BadRequestError):
            await client.embeddings.create(model=MODEL, input=[1, 2, 3])
    else:
        answer = await client.embeddings.create(model=MODEL, input=[[1, 2], [3]])
        assert (len(answer.data), answer.usage.prompt_tokens) == (2, 3)


async def test_an_unknown_model_is_not_found(client: AsyncOpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as raised:
        await client.chat.completions.create(**{**chat("Hello"), "model": "no-such-model"})
    assert raised.value.code == "model_not_found"
    with pytest.raises(openai.NotFoundError):
        await client.models.retrieve("no-such-model")


async def test_what_it_refuses_is_refused_in_openais_shape(client: AsyncOpenAI, real: Proxied) -> None:
    tool = {"type": "function", "function": {"name": "look", "parameters": {"type": "object", "properties": {}}}}
    refused: dict[str, dict[str, Any]] = {
        "Ollama": {"tools": [tool]},
        "llama.cpp": {"response_format": {"type": "xml"}},
    }
    with pytest.raises(openai.BadRequestError) as raised:
        await client.chat.completions.create(**chat("Hello", **refused[real.name]))
    assert isinstance(raised.value.body, dict)
    assert raised.value.body.keys() == {"message", "type", "param", "code"}


@pytest.mark.parametrize("real", ["llama.cpp"], indirect=True)  # It says what it is doing.
async def test_leaving_a_stream_stops_its_work(client: AsyncOpenAI, real: Proxied) -> None:
    # Left alone it would go on to the last token.
    asked = {**chat("Tell me a long story about the sea."), "max_tokens": 1800, "extra_body": {"ignore_eos": True}}
    before = (await counted(real.upstream))["tokens_predicted_total"]
    async with await client.chat.completions.create(**asked, stream=True) as stream:
        await anext(aiter(stream))
        assert (await counted(real.upstream))["requests_processing"] == 1
    async with asyncio.timeout(60):
        while (await counted(real.upstream))["requests_processing"]:
            await asyncio.sleep(0.02)
    assert (await counted(real.upstream))["tokens_predicted_total"] - before < 1600


async def counted(url: str) -> dict[str, float]:
    """What llama.cpp counts."""
    async with httpx.AsyncClient(headers={"Authorization": f"Bearer {KEY}"}, timeout=60, trust_env=False) as http:
        lines = (await http.get(f"{url}/metrics")).text.splitlines()
    named = [line.removeprefix("llamacpp:").split() for line in lines if line.startswith("llamacpp:")]
    return {name: float(value) for name, value in named}


async def test_a_key_that_it_refuses_is_the_operators_matter() -> None:
    async with (
        running_llama(MODEL, KEY) as server,
        running_proxy(openai_compatible_url=server, openai_compatible_api_key="wrong") as url,
        AsyncOpenAI(base_url=f"{url}/v1", api_key="unused", max_retries=0) as client,
    ):
        with pytest.raises(openai.AuthenticationError, match="refuses the proxy's credential"):
            await client.chat.completions.create(**chat("Hello"))
