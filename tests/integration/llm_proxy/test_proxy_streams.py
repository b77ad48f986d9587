import asyncio
import json
import time
from typing import Any

import httpx
import pytest

from tests.support.openai_server import COMPLETIONS, Body, Html, OpenAIServer, Reset, Slow, Status, StreamBreak

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
    assert upstream.asked(COMPLETIONS) == [ASK]


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


async def test_the_time_limit_is_between_two_chunks(http: httpx.AsyncClient, upstream: OpenAIServer) -> None:
    upstream.fault = Slow(0.2)
    started = time.monotonic()
    assert (await stream(http))[-1] == "[DONE]"
    assert time.monotonic() - started > 1, "in all it took longer than the limit of half a second"


@pytest.mark.parametrize(
    ("how", "status_code"),
    [("reset", "upstream_unreachable"), ("end", "upstream_bad_response"), ("stall", "upstream_timeout"),
     ("garbage", "upstream_bad_response"), ("error", None)],
)  # fmt: skip
async def test_a_failure_in_mid_stream_is_the_last_event(
    http: httpx.AsyncClient, upstream: OpenAIServer, how: str, status_code: str | None
) -> None:
    upstream.fault = StreamBreak(how, after=3)
    events = await stream(http)
    assert len(events) == 4
    assert text(events[:3]) == "You said:"
    assert json.loads(events[3])["error"].keys() == {"message", "type", "param", "code"}
    assert json.loads(events[3])["error"]["code"] == status_code


@pytest.mark.parametrize(
    ("how", "status"), [("reset", 502), ("end", 502), ("stall", 504), ("garbage", 502), ("error", 507)]
)
async def test_a_failure_before_the_first_chunk_has_a_status(
    http: httpx.AsyncClient, upstream: OpenAIServer, how: str, status: int
) -> None:
    upstream.fault = StreamBreak(how, after=0)
    answer = await http.post("/v1/chat/completions", json=ASK)
    assert answer.status_code == status
    assert "error" in answer.json()


@pytest.mark.parametrize(
    ("fault", "status"),
    [(Status(429, retry_after="9"), 429), (Html(), 502), (Reset(), 502), (Body(b'{"choices": []}'), 502),
     (Body(b"", content_type="text/event-stream"), 502)],
)  # fmt: skip
async def test_a_stream_that_does_not_start_is_an_error(
    http: httpx.AsyncClient, upstream: OpenAIServer, fault: Any, status: int
) -> None:
    upstream.fault = fault
    answer = await http.post("/v1/chat/completions", json=ASK)
    assert answer.status_code == status
    assert answer.headers.get("Retry-After") == getattr(fault, "retry_after", None)


async def test_a_stream_that_forgets_done_is_ended_properly(http: httpx.AsyncClient, upstream: OpenAIServer) -> None:
    chunk = b'data: {"choices": [{"delta": {"content": "x"}, "finish_reason": "stop"}]}\r\n\r\n'
    upstream.fault = Body(b": waiting\r\n\r\n" + chunk, content_type="text/event-stream; charset=utf-8")
    assert (await stream(http))[-1] == "[DONE]"


async def test_hanging_up_stops_the_upstream(http: httpx.AsyncClient, upstream: OpenAIServer) -> None:
    upstream.fault = StreamBreak("stall", after=2)
    async with http.stream("POST", "/v1/chat/completions", json=ASK) as answer:
        await anext(answer.aiter_bytes())
    await asyncio.sleep(0.2)
    assert upstream.abandoned == 1
