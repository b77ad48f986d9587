"""A real HTTP server that speaks OpenAI's format and misbehaves on request.

    async with OpenAIServer(answer=lambda request: "Hello") as upstream:
        upstream.url                                  # http://127.0.0.1:PORT, the routes are under /v1
        upstream.fault = Status(503, retry_after="7") # from now on; None to answer again
        upstream.calls["POST /v1/chat/completions"]   # how often it was asked
        await upstream.down()                         # stops listening; `up` listens on the same port again

A fault hits completions and embeddings only, unless its `everywhere` is true: then `GET /v1/models` too.
"""

import asyncio
import hashlib
import inspect
import json
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from tests.support.stand_in_server import StandInServer, read_request

Answer = Callable[[dict[str, Any]], str | dict[str, Any] | Awaitable[str | dict[str, Any]]]
Embed = Callable[[str, dict[str, Any]], list[float]]
COMPLETIONS = "POST /v1/chat/completions"
EMBEDDINGS = "POST /v1/embeddings"
MODELS = "GET /v1/models"


@dataclass(frozen=True, kw_only=True)
class Fault:
    everywhere: bool = False


@dataclass(frozen=True)
class Status(Fault):
    """Answers with an error status, in OpenAI's shape unless `body` says otherwise."""

    status: int
    retry_after: str | None = None
    body: bytes | None = None
    code: str | None = "scripted"


@dataclass(frozen=True)
class Slow(Fault):
    """Answers rightly, but late; a stream waits before each chunk."""

    seconds: float


@dataclass(frozen=True)
class Held(Fault):
    """Answers rightly when the event is set; a stream waits before its first chunk."""

    until: asyncio.Event


@dataclass(frozen=True)
class Html(Fault):
    """A 200 with a web page, as a captive proxy sends it."""


@dataclass(frozen=True)
class Body(Fault):
    """A 200 with exactly this body."""

    body: bytes
    content_type: str = "application/json"


@dataclass(frozen=True)
class TruncatedJson(Fault):
    """A 200 whose body is whole by its length and cut short as JSON."""


@dataclass(frozen=True)
class Reset(Fault):
    """Resets the connection once the request has been read."""


@dataclass(frozen=True)
class HalfBody(Fault):
    """Sends half of an answer that is not streamed, then resets the connection, or waits before the rest."""

    seconds: float | None = None


@dataclass(frozen=True)
class StreamBreak(Fault):
    """Streams `after` chunks, then misbehaves: `reset`, `end`, `stall`, `error` or `garbage`."""

    how: str
    after: int = 2


def hashed_vector(text: str, request: dict[str, Any]) -> list[float]:
    """A vector that depends on the text and its `input_type` alone, of length 1."""
    size = request.get("dimensions") or 8
    seed = f"{request.get('input_type')}:{text}".encode()
    raw = [int.from_bytes(hashlib.sha256(seed + bytes([i % 256])).digest()[:4]) / 2**32 - 0.5 for i in range(size)]
    length = sum(number * number for number in raw) ** 0.5
    return [number / length for number in raw]


def echo(request: dict[str, Any]) -> str:
    return f"You said: {request['messages'][-1]['content']}"


class OpenAIServer(StandInServer):
    """`answer` gets the request and returns the text, or a whole message; it may be a coroutine function."""

    def __init__(
        self,
        *,
        answer: Answer = echo,
        embed: Embed = hashed_vector,
        models: Sequence[str] = ("chat-model", "embedding-model"),
        fault: Fault | None = None,
    ) -> None:
        super().__init__()
        self.answer = answer
        self.embed = embed
        self.models = list(models)
        self.fault = fault
        self.refuses: Callable[[dict[str, Any]], Fault | None] | None = None
        self.calls: Counter[str] = Counter()
        self.requests: list[tuple[str, dict[str, Any]]] = []
        self.completions: list[tuple[datetime, str]] = []
        self.headers: list[dict[str, str]] = []
        self.abandoned = 0

    def asked(self, route: str) -> list[dict[str, Any]]:
        """The bodies of the requests to one route, oldest first."""
        return [body for asked, body in self.requests if asked == route]

    async def exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        method, path, headers, raw = await read_request(reader)
        body = json.loads(raw) if raw else {}
        route = f"{method} {path}"
        self.calls[route] += 1
        self.requests.append((route, body))
        if route == COMPLETIONS:
            self.completions.append((datetime.now(UTC), json.dumps(body)))
        self.headers.append(headers)
        # Decided as it is counted: whoever saw the call may take the fault away without sparing it.
        answering = asyncio.create_task(self._respond(route, body, writer, self._fault(route, body)))
        leaving = asyncio.create_task(_caller_left(reader))
        try:
            await asyncio.wait({answering, leaving}, return_when=asyncio.FIRST_COMPLETED)
            if answering.done():
                return await answering
            self.abandoned += 1
            return False
        finally:
            answering.cancel()
            leaving.cancel()
            await asyncio.gather(answering, leaving, return_exceptions=True)

    def _fault(self, route: str, body: dict[str, Any]) -> Fault | None:
        if self.fault and (self.fault.everywhere or route != MODELS):
            return self.fault
        return self.refuses(body) if self.refuses is not None else None

    async def _respond(
        self, route: str, body: dict[str, Any], writer: asyncio.StreamWriter, fault: Fault | None
    ) -> bool:
        if isinstance(fault, Held):
            await fault.until.wait()
        match fault:
            case Reset():
                writer.transport.abort()
                return False
            case Status():
                await self._send(writer, fault.status, *_error(fault))
            case Html():
                await self._send(writer, 200, b"<html><body>Sign in</body></html>", {"content-type": "text/html"})
            case Body():
                await self._send(writer, 200, fault.body, {"content-type": fault.content_type})
            case TruncatedJson():
                whole = json.dumps(await self._answer(route, body)).encode()
                await self._send(writer, 200, whole[: len(whole) // 2], {})
            case HalfBody() if not body.get("stream"):
                whole = json.dumps(await self._answer(route, body)).encode()
                return await _send_in_halves(writer, whole, fault.seconds)
            case _ if route == COMPLETIONS and body.get("stream"):
                return await self._stream(body, fault, writer)
            case _:
                await asyncio.sleep(fault.seconds if isinstance(fault, Slow) else 0)
                await self._send(writer, *(await self._status_and_answer(route, body)))
        return True

    async def _status_and_answer(self, route: str, body: dict[str, Any]) -> tuple[int, bytes, dict[str, str]]:
        if body and body.get("model") not in self.models:
            error = {"message": "no such model", "type": "invalid_request_error", "code": "model_not_found"}
            return 404, json.dumps({"error": error}).encode(), {}
        return 200, json.dumps(await self._answer(route, body)).encode(), {}

    async def _answer(self, route: str, body: dict[str, Any]) -> dict[str, Any]:
        if route == COMPLETIONS:
            message = await self._message(body)
            choice = {"index": 0, "message": message, "finish_reason": "stop"}
            common = {"id": "chat-1", "object": "chat.completion", "created": 1, "model": body["model"]}
            return common | {"choices": [choice], "usage": _usage(body, message)}
        if route == EMBEDDINGS:
            single = isinstance(body["input"], str) or isinstance(body["input"][0], int)
            texts = [body["input"]] if single else body["input"]
            # Backwards: the order is in `index`, and nothing else may be relied on.
            data = [
                {"object": "embedding", "index": index, "embedding": self.embed(str(text), body)}
                for index, text in reversed(list(enumerate(texts)))
            ]
            tokens = sum(len(str(text).split()) for text in texts)
            usage = {"prompt_tokens": tokens, "total_tokens": tokens}
            return {"object": "list", "data": data, "model": body["model"], "usage": usage}
        cards = [{"id": name, "object": "model", "created": 1, "owned_by": "tests"} for name in self.models]
        return {"object": "list", "data": cards}

    async def _message(self, body: dict[str, Any]) -> dict[str, Any]:
        answer = self.answer(body)
        said = await answer if inspect.isawaitable(answer) else answer
        return said if isinstance(said, dict) else {"role": "assistant", "content": said}

    async def _stream(self, body: dict[str, Any], fault: Fault | None, writer: asyncio.StreamWriter) -> bool:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
        for number, chunk in enumerate(await self._chunks(body)):
            if isinstance(fault, Slow):
                await asyncio.sleep(fault.seconds)
            if isinstance(fault, StreamBreak) and number == fault.after:
                return await _break(fault, writer)
            await _write_chunk(writer, f"data: {chunk}\n\n".encode())
        await _write_chunk(writer, b"data: [DONE]\n\n")
        await _write_chunk(writer, b"")
        return True

    async def _chunks(self, body: dict[str, Any]) -> list[str]:
        message = await self._message(body)
        words = str(message.get("content") or "").split(" ")
        deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
        deltas += [{"content": f" {word}" if index else word} for index, word in enumerate(words)]
        choices: list[dict[str, Any]] = [{"index": 0, "delta": delta, "finish_reason": None} for delta in deltas]
        choices.append({"index": 0, "delta": {}, "finish_reason": "stop"})
        common = {"id": "chat-1", "object": "chat.completion.chunk", "created": 1, "model": body["model"]}
        chunks: list[dict[str, Any]] = [common | {"choices": [choice]} for choice in choices]
        if (body.get("stream_options") or {}).get("include_usage"):
            chunks.append(common | {"choices": [], "usage": _usage(body, message)})
        return [json.dumps(chunk, ensure_ascii=False) for chunk in chunks]

    async def _send(self, writer: asyncio.StreamWriter, status: int, body: bytes, headers: dict[str, str]) -> None:
        lines = {"content-type": "application/json", **headers, "content-length": str(len(body))}
        head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        writer.write(f"HTTP/1.1 {status} Scripted\r\n{head}\r\n".encode("latin-1") + body)
        await writer.drain()


def _error(fault: Status) -> tuple[bytes, dict[str, str]]:
    error = {"message": f"scripted {fault.status}", "type": "scripted_error", "param": None, "code": fault.code}
    headers = {"retry-after": fault.retry_after} if fault.retry_after is not None else {}
    return fault.body if fault.body is not None else json.dumps({"error": error}).encode(), headers


def _usage(body: dict[str, Any], message: dict[str, Any]) -> dict[str, int]:
    prompt = sum(len(str(one.get("content")).split()) for one in body["messages"])
    completion = len(str(message.get("content")).split())
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}


async def _caller_left(reader: asyncio.StreamReader) -> None:
    # A reader announces its end only to whoever reads, and reading would take the next request.
    while not reader.at_eof() and reader.exception() is None:
        await asyncio.sleep(0.02)


async def _send_in_halves(writer: asyncio.StreamWriter, body: bytes, pause: float | None) -> bool:
    writer.write(f"HTTP/1.1 200 OK\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body[: len(body) // 2])
    await writer.drain()
    if pause is None:
        writer.transport.abort()
        return False
    await asyncio.sleep(pause)
    writer.write(body[len(body) // 2 :])
    return True


async def _write_chunk(writer: asyncio.StreamWriter, data: bytes) -> None:
    writer.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
    await writer.drain()


async def _break(fault: StreamBreak, writer: asyncio.StreamWriter) -> bool:
    match fault.how:
        case "reset":
            writer.transport.abort()
            return False
        case "stall":
            await asyncio.sleep(3600)
        case "error":
            await _write_chunk(writer, b'data: {"error": {"message": "out of memory", "code": 507}}\n\n')
        case "garbage":
            await _write_chunk(writer, b'data: {"choices": [\n\n')
        case "end":
            pass
        case _:
            raise AssertionError(fault.how)
    await _write_chunk(writer, b"")
    return True
