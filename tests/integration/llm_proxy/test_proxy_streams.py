import asyncio
import json
import time
from typing import Any

import httpx
import pytest

from tests.support.openai_server import COMPLETIONS, Body, OpenAIServer, Slow, StreamBreak

ASK: dict[str, Any] = {
    "model": "chat-model",
    "messages": [{"role": "user", "content": "one two three"}],
    "stream": True,
}


async def stream(http: httpx.AsyncClient, **more: Any) -> list[str]:
    """The data of each event, as an SSE client sees it."""
    answer = await http.post("/v1/chat/completions", json={**ASK, **more})
    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith("text/event-stream")
    events = answer.text.split("\n\n")
    assert events.pop() == ""
    assert all(event.startswith("data: ") for event in events)
    return [event.removeprefix("data: ") for event in events]


def text(events: list[str]) -> str:
    chunks = [json.loads(event) for event in events if event != "[DONE]"]
    return "".join(choice["delta"].get("content", "") for chunk in chunks for choice in chunk.get("choices", []))


async def test_a_stream_arrives_whole_and_ends_with_done(http: httpx.AsyncClient, upstream: OpenAIServer) -> None:
    events = await stream(http)
    assert text(events) == "You said: one two three"
    assert events[-1] == "[DONE]"
    assert json.loads(events[-2])["choices"][0]["finish_reason"] == "stop"
    # What a stream cost is always asked for; a caller that did not ask is not told.
    assert upstream.asked(COMPLETIONS) == [{**ASK, "stream_options": {"include_usage": True}}]


async def test_usage_comes_last_when_asked_for(http: httpx.AsyncClient) -> None:
    events = await stream(http, stream_options={"include_usage": True})
    assert json.loads(events[-2])["choices"] == []
    assert json.loads(events[-2])["usage"]["total_tokens"] == 8
    assert events[-1] == "[DONE]"
    assert not any("usage" in event for event in await stream(http))


async def test_a_line_separator_inside_a_chunk_does_not_cut_it(http: httpx.AsyncClient, upstream: OpenAIServer) -> None:
    upstream.answer = lambda _request: "a\u2028b\x85c\x0cd \u2615"
    assert text(await stream(http)) == "a\u2028b\x85c\x0cd \u2615"


async def test_chunks_are_not_held_back(http: httpx.AsyncClient, upstream: OpenAIServer) -> None:
    upstream.fault = StreamBreak("stall", after=2)
    async with http.stream("POST", "/v1/chat/completions", json=ASK) as answer:
        assert b"data: " in await anext(answer.aiter_bytes())


@pytest.mark.parametrize("time_limit", [3.0])
async def test_the_time_limit_is_between_two_chunks(
    http: httpx.AsyncClient, upstream: OpenAIServer, time_limit: float
) -> None:
    upstream.fault = Slow(0.1)
    upstream.answer = lambda _request: "word " * 30
    started = time.monotonic()
    assert (await stream(http))[-1] == "[DONE]"
    assert time.monotonic() - started > time_limit, "in all it took longer than the limit"


async def test_a_stream_that_forgets_done_is_ended_properly(http: httpx.AsyncClient, upstream: OpenAIServer) -> None:
    chunk = b'data: {"choices": [{"delta": {"content": "x"}, "finish_reason": "stop"}]}\r\n\r\n'
    upstream.fault = Body(b": waiting\r\n\r\n" + chunk, content_type="text/event-stream; charset=utf-8")
    assert (await stream(http))[-1] == "[DONE]"


async def test_hanging_up_stops_the_upstream(patient: httpx.AsyncClient, upstream: OpenAIServer) -> None:
    upstream.fault = StreamBreak("stall", after=2)
    async with patient.stream("POST", "/v1/chat/completions", json=ASK) as answer:
        await anext(answer.aiter_bytes())
    while not upstream.abandoned:
        await asyncio.sleep(0.01)
