"""Every fault of an upstream, by every way of asking: the right status, OpenAI's shape, and never a success."""

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import connect

from tests.integration.llm_proxy.conftest import HASTY_SECONDS
from tests.support.openai_server import (
    Body,
    Fault,
    HalfBody,
    Html,
    OpenAIServer,
    Reset,
    Slow,
    Status,
    StreamBreak,
    TruncatedJson,
)

MESSAGES = [{"role": "user", "content": "one two three"}]
CHAT: dict[str, Any] = {"model": "chat-model", "messages": MESSAGES}
DATE = "Wed, 21 Oct 2026 07:28:00 GMT"
UNREACHABLE, LATE, BROKEN = "upstream_unreachable", "upstream_timeout", "upstream_bad_response"


@dataclass(frozen=True)
class Failure:
    """`chunks` is how many came before it; only where that is none can HTTP still say a status."""

    status: int
    error: dict[str, Any]
    retry_after: str | None = None
    chunks: int = 0


@dataclass(frozen=True)
class Case:
    """`streamed` is how the fault looks in a stream, where that is another."""

    name: str
    fault: Fault | None
    status: int
    code: str | None
    streamed: Fault | None = None
    retry_after: str | None = None

    @property
    def time_limit(self) -> float:
        return HASTY_SECONDS if self.code == LATE else 60.0


CASES = [
    Case("refused", None, 502, UNREACHABLE),
    Case("reset before the answer", Reset(), 502, UNREACHABLE),
    Case("reset in the answer", HalfBody(), 502, UNREACHABLE, streamed=StreamBreak("reset", after=2)),
    Case("reset before the first chunk", Reset(), 502, UNREACHABLE, streamed=StreamBreak("reset", after=0)),
    Case("slow first byte", Slow(60), 504, LATE),
    Case("slow in the answer", HalfBody(60), 504, LATE, streamed=StreamBreak("stall", after=2)),
    Case("silent before the first chunk", Slow(60), 504, LATE, streamed=StreamBreak("stall", after=0)),
    Case("429, seconds", Status(429, retry_after="17"), 429, "scripted", retry_after="17"),
    Case("429, date", Status(429, retry_after=DATE), 429, "scripted", retry_after=DATE),
    Case("429, nonsense", Status(429, retry_after="\x01soon<b>"), 429, "scripted"),
    Case("500", Status(500), 500, "scripted"),
    Case("503", Status(503, retry_after="3"), 503, "scripted", retry_after="3"),
    Case("503 without a body", Status(503, body=b""), 503, None),
    Case("401", Status(401), 401, None),
    Case("200 with HTML", Html(), 502, BROKEN),
    Case("truncated JSON", TruncatedJson(), 502, BROKEN, streamed=StreamBreak("garbage", after=2)),
    Case("truncated first chunk", TruncatedJson(), 502, BROKEN, streamed=StreamBreak("garbage", after=0)),
    Case("empty body", Body(b""), 502, BROKEN, streamed=Body(b"", content_type="text/event-stream")),
    Case("ends early", Body(b"{"), 502, BROKEN, streamed=StreamBreak("end", after=2)),
    Case("ends before the first chunk", Body(b"null"), 502, BROKEN, streamed=StreamBreak("end", after=0)),
    Case("another answer", Body(b'{"choices": []}'), 502, BROKEN),
    Case("an error instead of chunks", Body(b'{"error": {"message": "full", "code": 507}}'), 507, None,
         streamed=StreamBreak("error", after=0)),
    Case("an error inside a 200", Body(b'{"error": {"message": "full", "code": 507}}'), 507, None,
         streamed=StreamBreak("error", after=2)),
]  # fmt: skip


async def post(url: str, path: str, body: dict[str, Any]) -> httpx.Response:
    async with httpx.AsyncClient(base_url=url, timeout=20, trust_env=False) as http:
        return await http.post(path, json=body)


def failure_of(answer: httpx.Response) -> Failure | None:
    if answer.status_code == 200:
        return None
    assert answer.json().keys() == {"error"}
    return Failure(answer.status_code, answer.json()["error"], answer.headers.get("Retry-After"))


async def complete(url: str) -> Failure | None:
    return failure_of(await post(url, "/v1/chat/completions", CHAT))


async def embed(url: str) -> Failure | None:
    return failure_of(await post(url, "/v1/embeddings", {"model": "embedding-model", "input": "text"}))


async def stream(url: str) -> Failure | None:
    answer = await post(url, "/v1/chat/completions", {**CHAT, "stream": True})
    if answer.status_code != 200:
        return failure_of(answer)
    *chunks, last = [event.removeprefix("data: ") for event in answer.text.removesuffix("\n\n").split("\n\n")]
    assert all("choices" in json.loads(chunk) for chunk in chunks)
    if last == "[DONE]":
        return None
    assert json.loads(last).keys() == {"error"}
    return Failure(200, json.loads(last)["error"], chunks=len(chunks))


async def converse(url: str) -> Failure | None:
    async with connect(f"{url.replace('http://', 'ws://')}/v1/chat/completions", proxy=None) as socket:
        await socket.send(json.dumps(CHAT))
        chunks = 0
        while "choices" in (frame := json.loads(await socket.recv())):
            chunks += 1
        if frame == {"done": True}:
            return None
        assert frame.keys() - {"retry_after"} == {"error", "status"}
        return Failure(frame["status"], frame["error"], frame.get("retry_after"), chunks)


ASK = pytest.mark.parametrize("ask", [complete, stream, embed, converse], ids=lambda ask: ask.__name__)


@ASK
@pytest.mark.parametrize(
    ("case", "time_limit"), [(case, case.time_limit) for case in CASES], ids=[case.name for case in CASES]
)
async def test_a_fault_has_its_status_and_is_no_success(
    proxy_url: str, upstream: OpenAIServer, case: Case, ask: Callable[[str], Awaitable[Failure | None]]
) -> None:
    assert await ask(proxy_url) is None
    is_streamed = ask in (stream, converse)
    upstream.fault = (is_streamed and case.streamed) or case.fault
    if upstream.fault is None:
        await upstream.down()

    failure = await ask(proxy_url)

    assert failure is not None
    broke = upstream.fault
    assert failure.chunks == (broke.after if isinstance(broke, StreamBreak) else 0)
    assert failure.status == (200 if ask is stream and failure.chunks else case.status)
    assert failure.error.keys() == {"message", "type", "param", "code"}
    assert failure.error["message"]
    assert failure.error["code"] == case.code
    assert failure.retry_after == case.retry_after

    upstream.fault = None
    await upstream.up()
    assert await ask(proxy_url) is None
