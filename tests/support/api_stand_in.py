"""A real HTTP server in the memory API's place, whose next answers a test writes down."""

import asyncio
import json
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from tests.support.stand_in_server import StandInServer, read_request


@dataclass(frozen=True)
class Answer:
    """`status` 0 closes the connection without a word; what `hangs` never says one."""

    status: int = 200
    body: object = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    hangs: bool = False

    def wire(self) -> bytes:
        body = self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()
        headers = {"Content-Length": str(len(body)), "Content-Type": "application/json", **self.headers}
        lines = [f"HTTP/1.1 {self.status} Scripted", *(f"{name}: {value}" for name, value in headers.items())]
        return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    headers: dict[str, str]
    body: Any


class ApiStandIn(StandInServer):
    """Gives the answers in `answers` one by one, then `otherwise`; keeps what it was asked in `requests`."""

    def __init__(self, *answers: Answer, otherwise: Answer | None = None) -> None:
        super().__init__()
        self.answers = deque(answers)
        self.otherwise = otherwise or Answer()
        self.requests: list[Request] = []

    async def exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        method, path, headers, body = await read_request(reader)
        self.requests.append(Request(method, path, headers, json.loads(body) if body else None))
        answer = self.answers.popleft() if self.answers else self.otherwise
        if answer.hangs:
            await asyncio.Event().wait()
        if answer.status == 0:
            return False
        writer.write(answer.wire())
        await writer.drain()
        return True
