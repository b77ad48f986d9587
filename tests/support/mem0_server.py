"""A real HTTP server that speaks the interface of the hosted Mem0 and misbehaves on request.

async with Mem0Server() as mem0:
    mem0.url                                       # http://127.0.0.1:PORT
    mem0.memories.by_id                            # what it holds
    mem0.memories.deduplicates = "answers nothing" # an equal text of the same user is not added
    mem0.memories.list_lag = 2.0                   # new memories are listed seconds late
    mem0.fault = lambda asked: Status(503) if asked.route == ADD else None
    mem0.faults += [Reset("after")]                # the next requests, one each; before `fault` is asked
    mem0.calls[ADD]                                # how often it was asked
    await mem0.landed()                            # what was answered too soon is done now
    await mem0.down()                              # stops listening; `up` listens on the same port again
"""

import asyncio
import json
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Literal
from urllib.parse import parse_qs, unquote, urlsplit

from tests.support.mem0_memories import BadRequestError, Mem0Memories
from tests.support.stand_in_server import StandInServer, read_request

API_KEY = "m0-test"
PING = "GET /v1/ping/"
ADD = "POST /v3/memories/add/"
LIST = "POST /v3/memories/"
GET = "GET /v1/memories/{id}/"
UPDATE = "PUT /v1/memories/{id}/"
DELETE = "DELETE /v1/memories/{id}/"
_DEFAULT_PAGE = 100


@dataclass(frozen=True)
class Status:
    """Answers with an error and does nothing; the body repeats what was sent, as validators do."""

    status: int
    retry_after: str | None = None


@dataclass(frozen=True)
class Html:
    """A 200 with a web page, as a captive proxy sends it; nothing is done."""


@dataclass(frozen=True)
class Slow:
    """Does the work, and answers late."""

    seconds: float


@dataclass(frozen=True)
class Held:
    """Does the work and answers when the event is set."""

    until: asyncio.Event


@dataclass(frozen=True)
class Reset:
    """Resets the connection before or after the work is done."""

    when: Literal["before", "after"]


@dataclass(frozen=True)
class Late:
    """Does the work so many seconds later, or once it is let, whoever is left to hear of it.

    The answer is an error, or a cut connection.
    """

    when: float | asyncio.Event
    status: int | None = None


Fault = Status | Html | Slow | Held | Reset | Late


@dataclass(frozen=True)
class Asked:
    route: str
    memory_id: str
    body: dict[str, Any]
    query: dict[str, str]
    headers: dict[str, str]


class Mem0Server(StandInServer):
    def __init__(self, memories: Mem0Memories | None = None) -> None:
        super().__init__()
        self.memories = memories or Mem0Memories()
        self.api_key = API_KEY
        self.fault: Callable[[Asked], Fault | None] = lambda _: None
        self.faults: deque[Fault | None] = deque()
        self.on_request: Callable[[Asked], None] = lambda _: None
        self.calls: Counter[str] = Counter()
        self.requests: list[Asked] = []
        self._landing: set[asyncio.Task[None]] = set()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.landed()
        await super().__aexit__(kind, error, trace)

    async def landed(self) -> None:
        await asyncio.gather(*self._landing)

    async def exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        method, target, headers, raw = await read_request(reader)
        asked = _asked(method, target, headers, json.loads(raw) if raw else {})
        self.calls[asked.route] += 1
        self.requests.append(asked)
        self.on_request(asked)
        return await self._answer(asked, writer)

    async def _answer(self, asked: Asked, writer: asyncio.StreamWriter) -> bool:
        match self.faults.popleft() if self.faults else self.fault(asked):
            case None:
                await _send(writer, *self._do(asked))
            case Status() | Html() as refusal:
                await _refuse(writer, asked, refusal)
            case Slow(seconds=seconds):
                done = self._do(asked)
                await asyncio.sleep(seconds)
                await _send(writer, *done)
            case Held(until=until):
                await until.wait()
                await _send(writer, *self._do(asked))
            case Reset(when=when):
                if when == "after":
                    self._do(asked)
                return False
            case Late(when=when, status=late_status):
                self._land(asked, when)
                if late_status is None:
                    return False
                await _send(writer, late_status, {"detail": "too late"})
        return True

    def _land(self, asked: Asked, when: float | asyncio.Event) -> None:
        async def land() -> None:
            await (when.wait() if isinstance(when, asyncio.Event) else asyncio.sleep(when))
            self._do(asked)

        task = asyncio.create_task(land())
        self._landing.add(task)
        task.add_done_callback(self._landing.discard)

    def _do(self, asked: Asked) -> tuple[int, dict[str, Any]]:
        if asked.headers.get("authorization") != f"Token {self.api_key}":
            return 401, {"detail": "Invalid API key"}
        try:
            return self._route(asked)
        except BadRequestError as error:
            return 400, {"detail": f"{error}: {asked.body}"}

    def _route(self, asked: Asked) -> tuple[int, dict[str, Any]]:
        match asked.route:
            case "GET /v1/ping/":
                return 200, {"status": "ok", "org_id": "o", "project_id": "p", "user_email": "nobody@example.org"}
            case "POST /v3/memories/add/":
                return 200, self.memories.add(asked.body)
            case "POST /v3/memories/":
                page, size = int(asked.query.get("page", 1)), int(asked.query.get("page_size", _DEFAULT_PAGE))
                return 200, self.memories.page(asked.body, page, size)
            case "GET /v1/entities/":
                return 200, self.memories.entities()
            case "GET /v1/memories/{id}/":
                stored = self.memories.by_id.get(asked.memory_id)
                found = stored.seen() if stored else None
            case "PUT /v1/memories/{id}/":
                found = self.memories.update(asked.memory_id, asked.body)
            case "DELETE /v1/memories/{id}/":
                gone = self.memories.by_id.pop(asked.memory_id, None)
                found = {"message": "Memory deleted successfully!"} if gone else None
            case _:
                found = None
        return (200, found) if found is not None else (404, {"detail": "Memory not found!"})


def _asked(method: str, target: str, headers: dict[str, str], body: dict[str, Any]) -> Asked:
    url = urlsplit(target)
    query = {name: values[-1] for name, values in parse_qs(url.query).items()}
    path, memory_id = url.path, ""
    if path.startswith("/v1/memories/"):
        memory_id = unquote(path.removeprefix("/v1/memories/").rstrip("/"))
        path = "/v1/memories/{id}/"
    return Asked(f"{method} {path}", memory_id, body, query, headers)


async def _refuse(writer: asyncio.StreamWriter, asked: Asked, refusal: Status | Html) -> None:
    if isinstance(refusal, Html):
        await _send_raw(writer, 200, b"<html><body>Sign in</body></html>", {"Content-Type": "text/html"})
        return
    extra = {"Retry-After": refusal.retry_after} if refusal.retry_after is not None else {}
    await _send(writer, refusal.status, {"detail": f"refused: {asked.body}"}, extra)


async def _send(
    writer: asyncio.StreamWriter, status: int, body: dict[str, Any], headers: dict[str, str] | None = None
) -> None:
    await _send_raw(writer, status, json.dumps(body).encode(), {"Content-Type": "application/json", **(headers or {})})


async def _send_raw(writer: asyncio.StreamWriter, status: int, body: bytes, headers: dict[str, str]) -> None:
    head = [f"HTTP/1.1 {status} Scripted", f"Content-Length: {len(body)}", *(f"{k}: {v}" for k, v in headers.items())]
    writer.write("\r\n".join([*head, "", ""]).encode() + body)
    await writer.drain()
