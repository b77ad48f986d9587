"""OpenAI's own Python client, unchanged, against the proxy."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI, OpenAI
from openai.types.chat import ChatCompletion, ChatCompletionMessageParam, ChatCompletionToolParam
from pydantic import BaseModel

from tests.integration.llm_proxy.conftest import HASTY_SECONDS, StartProxy
from tests.support.openai_server import (
    COMPLETIONS,
    EMBEDDINGS,
    Body,
    Fault,
    OpenAIServer,
    Slow,
    Status,
    StreamBreak,
    hashed_vector,
)

SECRET = "the-heron-flies-at-dawn"
CALL: dict[str, Any] = {"id": "call-1", "type": "function", "function": {"name": "look", "arguments": '{"at": "sea"}'}}
LOOK: ChatCompletionToolParam = {
    "type": "function",
    "function": {"name": "look", "parameters": {"type": "object", "properties": {"at": {"type": "string"}}}},
}


class Place(BaseModel):
    city: str


@pytest.fixture
async def client(proxy_url: str) -> AsyncIterator[AsyncOpenAI]:
    async with AsyncOpenAI(base_url=f"{proxy_url}/v1", api_key="unused", max_retries=0, timeout=20) as opened:
        yield opened


@pytest.fixture
def blocking(proxy_url: str) -> Iterator[OpenAI]:
    """The client for programs without a loop; ours runs the proxy, so it is used in threads."""
    with OpenAI(base_url=f"{proxy_url}/v1", api_key="unused", max_retries=0, timeout=20) as opened:
        yield opened


def said(content: str) -> list[ChatCompletionMessageParam]:
    return [{"role": "user", "content": content}]


async def ask(client: AsyncOpenAI, **more: Any) -> ChatCompletion:
    answer: ChatCompletion = await client.chat.completions.create(model="chat-model", messages=said("Hello"), **more)
    return answer


async def until_abandoned(upstream: OpenAIServer) -> None:
    async with asyncio.timeout(20):
        while upstream.abandoned < 1:
            await asyncio.sleep(0.01)


async def test_a_chat_is_answered_with_its_usage_and_its_id(client: AsyncOpenAI) -> None:
    answer = await ask(client, extra_headers={"X-Request-ID": "turn-17"})
    assert answer.choices[0].message.content == "You said: Hello"
    assert answer.usage is not None
    assert answer.usage.total_tokens == 4
    assert answer._request_id == "turn-17"  # noqa: SLF001  public, says its documentation
    raw = await client.chat.completions.with_raw_response.create(model="chat-model", messages=said("Hello"))
    assert raw.request_id
    assert raw.parse().choices[0].finish_reason == "stop"


async def test_a_stream_is_read_to_its_usage(client: AsyncOpenAI) -> None:
    stream = await client.chat.completions.create(
        model="chat-model", messages=said("one two"), stream=True, stream_options={"include_usage": True}
    )
    chunks = [chunk async for chunk in stream]
    text = "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)
    assert text == "You said: one two"
    assert [chunk.usage.total_tokens for chunk in chunks if chunk.usage] == [6]
    async with client.chat.completions.stream(model="chat-model", messages=said("one two")) as gathered:
        assert (await gathered.get_final_completion()).choices[0].message.content == "You said: one two"


async def test_the_blocking_client_is_served_too(blocking: OpenAI) -> None:
    def use() -> tuple[str | None, str, list[list[float]], list[str]]:
        whole = blocking.chat.completions.create(model="chat-model", messages=said("one two"))
        stream = blocking.chat.completions.create(model="chat-model", messages=said("one two"), stream=True)
        streamed = "".join(choice.delta.content or "" for chunk in stream for choice in chunk.choices)
        vectors = blocking.embeddings.create(model="embedding-model", input=["a", "b"])
        models = [model.id for model in blocking.models.list()]
        return whole.choices[0].message.content, streamed, [one.embedding for one in vectors.data], models

    whole, streamed, vectors, models = await asyncio.to_thread(use)
    assert (whole, streamed, models) == ("You said: one two", "You said: one two", ["chat-model", "embedding-model"])
    assert vectors == [pytest.approx(hashed_vector(text, {}), abs=1e-6) for text in "ab"]


async def test_tools_are_passed_on_and_calls_come_back(client: AsyncOpenAI, upstream: OpenAIServer) -> None:
    upstream.answer = lambda _request: {"role": "assistant", "content": None, "tool_calls": [CALL]}
    [call] = (await ask(client, tools=[LOOK], tool_choice="required")).choices[0].message.tool_calls or []
    assert call.type == "function"
    assert (call.id, json.loads(call.function.arguments)) == ("call-1", {"at": "sea"})
    [asked] = upstream.asked(COMPLETIONS)
    assert (asked["tools"], asked["tool_choice"]) == ([LOOK], "required")
    answered: list[Any] = [
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": None, "tool_calls": [CALL]},
        {"role": "tool", "tool_call_id": "call-1", "content": "seen"},
    ]
    await client.chat.completions.create(model="chat-model", messages=answered, tools=[LOOK])
    assert upstream.asked(COMPLETIONS)[-1]["messages"] == answered


async def test_a_streamed_tool_call_is_put_together(client: AsyncOpenAI, upstream: OpenAIServer) -> None:
    deltas: list[dict[str, Any]] = [
        {"role": "assistant", "tool_calls": [{**CALL, "index": 0, "function": {"name": "look", "arguments": '{"at'}}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": '": "sea"}'}}]},
    ]
    choices: list[dict[str, Any]] = [{"index": 0, "delta": delta, "finish_reason": None} for delta in deltas]
    choices.append({"index": 0, "delta": {}, "finish_reason": "tool_calls"})
    common = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "chat-model"}
    events = [b"data: " + json.dumps({**common, "choices": [one]}).encode() + b"\n\n" for one in choices]
    upstream.fault = Body(b"".join(events) + b"data: [DONE]\n\n", content_type="text/event-stream")
    async with client.chat.completions.stream(model="chat-model", messages=said("Look"), tools=[LOOK]) as stream:
        final = await stream.get_final_completion()
    [call] = final.choices[0].message.tool_calls or []
    assert json.loads(call.function.arguments) == {"at": "sea"}


async def test_a_schema_is_passed_on_and_its_answer_parsed(client: AsyncOpenAI, upstream: OpenAIServer) -> None:
    upstream.answer = lambda _request: '{"city": "Lima"}'
    parsed = await client.chat.completions.parse(model="chat-model", messages=said("Where?"), response_format=Place)
    assert parsed.choices[0].message.parsed == Place(city="Lima")
    [asked] = upstream.asked(COMPLETIONS)
    assert asked["response_format"]["json_schema"]["schema"]["required"] == ["city"]


async def test_embeddings_come_as_the_client_asks_for_them(client: AsyncOpenAI, upstream: OpenAIServer) -> None:
    # Asked for nothing, this client asks for base64 and unpacks it.
    packed = await client.embeddings.create(model="embedding-model", input=["one", "two"], dimensions=5)
    numbers = await client.embeddings.create(
        model="embedding-model", input=["one", "two"], dimensions=5, encoding_format="float"
    )
    expected = [hashed_vector(text, {"dimensions": 5}) for text in ("one", "two")]
    assert [one.embedding for one in numbers.data] == [pytest.approx(vector) for vector in expected]
    assert [one.embedding for one in packed.data] == [pytest.approx(vector, abs=1e-6) for vector in expected]
    assert numbers.usage.prompt_tokens == 2
    for tokens, count in (([1, 2, 3], 1), ([[1, 2], [3]], 2)):
        answer = await client.embeddings.create(model="embedding-model", input=tokens)
        assert len(answer.data) == count
        assert upstream.asked(EMBEDDINGS)[-1]["input"] == tokens


async def test_models_are_listed_and_retrieved(client: AsyncOpenAI) -> None:
    assert [model.id async for model in client.models.list()] == ["chat-model", "embedding-model"]
    assert (await client.models.retrieve("chat-model")).owned_by == "tests"
    with pytest.raises(openai.NotFoundError) as raised:
        await client.models.retrieve("no-such-model")
    assert (raised.value.code, raised.value.param) == ("model_not_found", "model")


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, openai.BadRequestError),
        (401, openai.AuthenticationError),
        (403, openai.PermissionDeniedError),
        (404, openai.NotFoundError),
        (409, openai.ConflictError),
        (422, openai.UnprocessableEntityError),
        (429, openai.RateLimitError),
        (500, openai.InternalServerError),
        (503, openai.InternalServerError),
    ],
)
async def test_each_status_is_the_clients_own_error(
    client: AsyncOpenAI, upstream: OpenAIServer, status: int, kind: type[openai.APIStatusError]
) -> None:
    upstream.fault = Status(status, retry_after="7")
    for stream in (False, True):
        with pytest.raises(kind) as raised:
            await client.chat.completions.create(model="chat-model", messages=said(SECRET), stream=stream)
        assert raised.value.status_code == status
        assert raised.value.response.headers["Retry-After"] == "7"
        assert raised.value.request_id
        assert isinstance(raised.value.body, dict)
        assert raised.value.body.keys() == {"message", "type", "param", "code"}


async def test_a_wrong_request_names_its_field(client: AsyncOpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as raised:
        await ask(client, temperature=9)
    assert (raised.value.param, raised.value.type) == ("temperature", "invalid_request_error")


async def test_a_body_that_is_too_long_is_told_so(upstream: OpenAIServer, start_proxy: StartProxy) -> None:
    url = await start_proxy(openai_compatible_url=upstream.url)
    async with AsyncOpenAI(base_url=f"{url}/v1", api_key="unused", max_retries=0) as client:
        with pytest.raises(openai.APIStatusError) as raised:
            await client.chat.completions.create(model="chat-model", messages=said("x" * 40_000_000))
    assert raised.value.status_code == 413


@pytest.mark.parametrize(
    ("fault", "kind", "time_limit"),
    [
        (StreamBreak("reset", after=3), "upstream_unreachable", 60.0),
        (StreamBreak("stall", after=3), "upstream_timeout", HASTY_SECONDS),
    ],
)
async def test_a_stream_that_breaks_raises_after_what_came(
    client: AsyncOpenAI, upstream: OpenAIServer, fault: Fault, kind: str
) -> None:
    upstream.fault = fault
    came: list[str] = []
    stream = await client.chat.completions.create(model="chat-model", messages=said("one"), stream=True)
    with pytest.raises(openai.APIError) as raised:
        await collect(stream, came)
    assert "".join(came) == "You said:"
    assert (raised.value.code, raised.value.type) == (kind, "server_error")


async def collect(stream: Any, into: list[str]) -> None:
    async for chunk in stream:
        into += [choice.delta.content or "" for choice in chunk.choices]


async def test_leaving_a_stream_stops_the_upstream(client: AsyncOpenAI, upstream: OpenAIServer) -> None:
    upstream.fault = StreamBreak("stall", after=2)
    async with await client.chat.completions.create(model="chat-model", messages=said("one"), stream=True) as stream:
        await anext(aiter(stream))
    await until_abandoned(upstream)


async def test_the_clients_time_limit_stops_the_upstream(client: AsyncOpenAI, upstream: OpenAIServer) -> None:
    upstream.fault = Slow(60)
    # On a busy machine its time may be up before the upstream has heard of it.
    while not upstream.calls[COMPLETIONS]:
        with pytest.raises(openai.APITimeoutError):
            await ask(client, timeout=0.2)
    await until_abandoned(upstream)


async def test_the_client_tries_again_when_it_was_told_to(client: AsyncOpenAI, upstream: OpenAIServer) -> None:
    told = [Status(429, retry_after="1"), Status(503, retry_after="0")]
    upstream.refuses = lambda request: told.pop(0) if told and "messages" in request else None
    started = time.monotonic()
    raw = await client.with_options(max_retries=2).chat.completions.with_raw_response.create(
        model="chat-model", messages=said("Hello")
    )
    assert raw.parse().choices[0].message.content == "You said: Hello"
    assert raw.retries_taken == 2
    assert time.monotonic() - started >= 1, "it waited as the upstream asked; left to itself it waits half a second"


async def test_retries_end_with_the_upstreams_own_error(client: AsyncOpenAI, upstream: OpenAIServer) -> None:
    upstream.fault = Status(429, retry_after="0")
    with pytest.raises(openai.RateLimitError):
        await ask(client.with_options(max_retries=2))
    assert upstream.calls[COMPLETIONS] == 3
