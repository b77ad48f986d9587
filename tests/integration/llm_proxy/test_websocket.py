"""`WS /v1/chat/completions`, with a client that knows nothing of the proxy."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.integration.llm_proxy.conftest import StartProxy
from tests.support.openai_server import COMPLETIONS, OpenAIServer, Slow, StreamBreak

SECRET = "the-heron-flies-at-dawn"
ASK: dict[str, Any] = {"model": "chat-model", "messages": [{"role": "user", "content": "one two three"}]}
DONE = {"done": True}


def address(proxy_url: str) -> str:
    return proxy_url.replace("http://", "ws://") + "/v1/chat/completions"


@pytest.fixture
async def socket(proxy_url: str) -> AsyncIterator[ClientConnection]:
    async with connect(address(proxy_url), proxy=None) as connection:
        yield connection


async def answer_to(socket: ClientConnection, request: Any) -> list[Any]:
    """Send a request and read the frames of its answer, the last one included."""
    await socket.send(request if isinstance(request, str | bytes) else json.dumps(request))
    return await next_answer(socket)


async def next_answer(socket: ClientConnection) -> list[Any]:
    frames: list[Any] = []
    async with asyncio.timeout(20):
        while not frames or not (frames[-1] == DONE or "error" in frames[-1]):
            frame = await socket.recv()
            assert isinstance(frame, str)
            frames.append(json.loads(frame))
    return frames


def text(frames: list[Any]) -> str:
    choices = [choice for frame in frames for choice in frame.get("choices", [])]
    return "".join(choice["delta"].get("content", "") for choice in choices)


async def flood(socket: ClientConnection) -> None:
    for _ in range(40):
        await socket.send(json.dumps(ASK))
    while True:
        await socket.recv()


async def until_abandoned(upstream: OpenAIServer, times: int) -> None:
    async with asyncio.timeout(20):
        while upstream.abandoned < times:
            await asyncio.sleep(0.01)


async def test_an_answer_comes_in_chunks_and_ends_with_done(socket: ClientConnection, upstream: OpenAIServer) -> None:
    frames = await answer_to(socket, ASK)
    assert text(frames) == "You said: one two three"
    assert {frame["object"] for frame in frames[:-1]} == {"chat.completion.chunk"}
    assert frames[-2]["choices"][0]["finish_reason"] == "stop"
    assert frames[-1] == DONE
    assert upstream.asked(COMPLETIONS) == [{**ASK, "stream": True, "stream_options": {"include_usage": True}}]


async def test_the_chunks_are_those_of_the_stream(socket: ClientConnection, http: httpx.AsyncClient) -> None:
    asked = {**ASK, "stream": True, "stream_options": {"include_usage": True}}
    events = (await http.post("/v1/chat/completions", json=asked)).text.split("\n\n")
    frames = await answer_to(socket, asked)
    assert [json.loads(event.removeprefix("data: ")) for event in events[:-2]] == frames[:-1]
    assert frames[-2]["usage"]["total_tokens"] == 8


async def test_one_socket_serves_many_requests_even_unstreamed_ones(
    socket: ClientConnection, upstream: OpenAIServer
) -> None:
    for number in range(5):
        asked = {**ASK, "messages": [{"role": "user", "content": f"number {number}"}], "stream": False}
        assert text(await answer_to(socket, asked)) == f"You said: number {number}"
    assert all(body["stream"] for body in upstream.asked(COMPLETIONS))


async def test_requests_sent_together_are_answered_in_their_order(socket: ClientConnection) -> None:
    for number in range(10):
        await socket.send(json.dumps({**ASK, "messages": [{"role": "user", "content": f"number {number}"}]}))
    assert [text(await next_answer(socket)) for _ in range(10)] == [f"You said: number {n}" for n in range(10)]


async def test_a_flood_of_requests_closes_the_socket_and_stops_the_upstream(
    socket: ClientConnection, upstream: OpenAIServer
) -> None:
    upstream.fault = StreamBreak("stall", after=1)
    await socket.send(json.dumps(ASK))
    await socket.recv()
    with pytest.raises(ConnectionClosed) as closed:
        await asyncio.wait_for(flood(socket), 20)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1008
    assert "waiting" in closed.value.rcvd.reason
    await until_abandoned(upstream, 1)
    assert upstream.calls[COMPLETIONS] == 1


@pytest.mark.parametrize(
    ("frame", "status", "param"),
    [
        ("{", 400, None),
        ("", 400, None),
        ("[" * 100_000, 400, None),
        ("[]", 400, "body"),
        ("null", 400, "body"),
        (json.dumps({"model": "chat-model"}), 400, "messages"),
        (json.dumps({**ASK, "messages": [{"role": "narrator", "content": SECRET}]}), 400, "messages[0].role"),
        (json.dumps({**ASK, "temperature": 9}), 400, "temperature"),
        (json.dumps({**ASK, "model": "no-such-model"}), 404, "model"),
        (json.dumps(ASK).encode(), 400, None),
        (b"", 400, None),
    ],
    ids=lambda value: repr(value)[:40],
)
async def test_a_bad_frame_is_refused_and_the_socket_serves_on(
    socket: ClientConnection, frame: str | bytes, status: int, param: str | None
) -> None:
    [refusal] = await answer_to(socket, frame)
    assert refusal.keys() == {"error", "status"}
    assert refusal["error"].keys() == {"message", "type", "param", "code"}
    assert (refusal["status"], refusal["error"]["param"]) == (status, param)
    assert SECRET not in str(refusal)
    assert (await answer_to(socket, ASK))[-1] == DONE


async def test_a_frame_over_the_body_limit_is_refused(upstream: OpenAIServer, start_proxy: StartProxy) -> None:
    url = await start_proxy(openai_compatible_url=upstream.url, llm_proxy_max_body_bytes=2000)
    async with connect(address(url), proxy=None) as socket:
        # Fewer characters than the limit, more bytes.
        for long in ("x" * 2000, "\u2615" * 700):
            asked = json.dumps({**ASK, "messages": [{"role": "user", "content": long}]}, ensure_ascii=False)
            [refusal] = await answer_to(socket, asked)
            assert refusal["status"] == 413
        assert (await answer_to(socket, ASK))[-1] == DONE
    assert upstream.calls[COMPLETIONS] == 1


@pytest.mark.parametrize("after", [0, 1, 3], ids=["before the answer", "in the first chunk", "in mid-stream"])
async def test_closing_the_socket_cancels_upstream(
    socket: ClientConnection, upstream: OpenAIServer, after: int
) -> None:
    upstream.fault = StreamBreak("stall", after=after)
    await socket.send(json.dumps(ASK))
    for _ in range(after):
        await socket.recv()
    while not upstream.calls[COMPLETIONS]:
        await asyncio.sleep(0.01)
    assert upstream.abandoned == 0
    await socket.close()
    await until_abandoned(upstream, 1)


async def test_a_caller_that_vanishes_cancels_upstream_and_what_it_had_queued(
    proxy_url: str, upstream: OpenAIServer, http: httpx.AsyncClient
) -> None:
    upstream.fault = StreamBreak("stall", after=1)
    socket = await connect(address(proxy_url), proxy=None)
    for _ in range(3):
        await socket.send(json.dumps(ASK))
    await socket.recv()
    socket.transport.abort()
    await until_abandoned(upstream, 1)
    assert (await http.get("/health")).is_success
    assert upstream.calls[COMPLETIONS] == 1


@pytest.mark.parametrize("time_limit", [3.0])
async def test_the_time_limit_is_between_two_chunks(socket: ClientConnection, upstream: OpenAIServer) -> None:
    upstream.fault = Slow(0.1)
    upstream.answer = lambda _request: "word " * 30
    assert (await answer_to(socket, ASK))[-1] == DONE
    upstream.fault = Slow(30)
    assert (await answer_to(socket, ASK))[-1]["status"] == 504


async def test_one_socket_does_not_hold_up_another(
    socket: ClientConnection, proxy_url: str, upstream: OpenAIServer
) -> None:
    answering = asyncio.Event()

    async def wait_for_slow(request: dict[str, Any]) -> str:
        if request["messages"][0]["content"] == "slow":
            await answering.wait()
        return "said"

    upstream.answer = wait_for_slow
    await socket.send(json.dumps({**ASK, "messages": [{"role": "user", "content": "slow"}]}))
    async with connect(address(proxy_url), proxy=None) as other:
        assert text(await answer_to(other, ASK)) == "said"
    answering.set()
    assert text(await next_answer(socket)) == "said"


async def test_odd_characters_survive_both_ways(socket: ClientConnection, upstream: OpenAIServer) -> None:
    asked = {**ASK, "messages": [{"role": "user", "content": "a\u2028b\x85c\x0cd \u2615"}]}
    assert text(await answer_to(socket, asked)) == "You said: a\u2028b\x85c\x0cd \u2615"
    upstream.answer = lambda _request: "fine"
    asked["messages"][0]["content"] = "odd \ud800"
    assert (await answer_to(socket, asked))[-1] == DONE
    assert upstream.asked(COMPLETIONS)[-1]["messages"][0]["content"] == "odd \ud800"


async def test_a_web_page_from_elsewhere_cannot_open_it(proxy_url: str) -> None:
    with pytest.raises(InvalidStatus) as refused:
        await connect(address(proxy_url), proxy=None, origin="https://elsewhere.example")  # type: ignore[arg-type]
    assert refused.value.response.status_code == 403
    assert json.loads(refused.value.response.body or b"")["error"]["code"] == "foreign_origin"
    async with connect(address(proxy_url), proxy=None, origin=proxy_url) as own:  # type: ignore[arg-type]
        assert (await answer_to(own, ASK))[-1] == DONE


async def test_the_handshake_needs_the_key(upstream: OpenAIServer, start_proxy: StartProxy) -> None:
    url = await start_proxy(openai_compatible_url=upstream.url, llm_proxy_api_key="key-1")
    for headers in ({}, {"Authorization": "Bearer key-2"}, {"Authorization": "key-1"}):
        with pytest.raises(InvalidStatus) as refused:
            await connect(address(url), proxy=None, additional_headers=headers)
        assert refused.value.response.status_code == 401
        assert json.loads(refused.value.response.body or b"")["error"]["code"] == "invalid_api_key"
    async with connect(address(url), proxy=None, additional_headers={"Authorization": "Bearer key-1"}) as socket:
        assert (await answer_to(socket, ASK))[-1] == DONE
    assert upstream.calls[COMPLETIONS] == 1


async def test_no_content_is_logged(
    socket: ClientConnection, upstream: OpenAIServer, caplog: pytest.LogCaptureFixture
) -> None:
    # The client's own log is the test's, not the proxy's.
    for name in ("websockets.client", "websockets"):
        logging.getLogger(name).setLevel(logging.WARNING)
    caplog.set_level(logging.DEBUG)
    for fault in (None, StreamBreak("error", after=2), StreamBreak("garbage", after=1)):
        upstream.fault = fault
        await answer_to(socket, {**ASK, "messages": [{"role": "user", "content": SECRET}]})
        await answer_to(socket, f'{{"model": "{SECRET}')
    assert SECRET not in caplog.text
