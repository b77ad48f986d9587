"""An endpoint for webhooks: checks each signature by itself, as the specification says, and answers as it is told."""

import asyncio
import base64
import hashlib
import hmac
import json
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.support.stand_in_server import StandInServer, read_request

SECONDS = 60.0


@dataclass(frozen=True)
class Told:
    """A request as it came; `when` is the loop's time."""

    path: str
    headers: dict[str, str]
    body: bytes
    when: float

    @property
    def event(self) -> Any:
        return json.loads(self.body)

    @property
    def id(self) -> str:
        return str(self.event["id"])

    def is_signed_with(self, secret: str) -> bool:
        """Check it as https://www.standardwebhooks.com says, by nothing of ours."""
        key = base64.b64decode(secret.split("_", 1)[1])
        signed = b".".join([self.headers["webhook-id"].encode(), self.headers["webhook-timestamp"].encode(), self.body])
        expected = base64.b64encode(hmac.digest(key, signed, hashlib.sha256))
        given = [each.partition(",") for each in self.headers["webhook-signature"].split(" ")]
        return any(version == "v1" and hmac.compare_digest(made.encode(), expected) for version, _, made in given)


@dataclass
class Answer:
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    seconds: float = 0.0
    endless: bool = False


class WebhookReceiver(StandInServer):
    """`answer` says what becomes of each request; requests answered with 2xx are in `taken`, all of them in `asked`."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        super().__init__(tls)
        self.asked: list[Told] = []
        self.taken: list[Told] = []
        self.answer: Callable[[Told], Answer] = lambda _: Answer()

    @property
    def url(self) -> str:
        return f"{super().url}/hooks?token=t"

    async def has_taken(self, count: int, seconds: float = SECONDS) -> list[Told]:
        async with asyncio.timeout(seconds):
            while len(self.taken) < count:
                await asyncio.sleep(0.05)
        return self.taken

    async def was_asked(self, count: int, seconds: float = SECONDS) -> list[Told]:
        async with asyncio.timeout(seconds):
            while len(self.asked) < count:
                await asyncio.sleep(0.05)
        return self.asked

    async def exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        _method, target, headers, body = await read_request(reader)
        told = Told(target, headers, body, asyncio.get_running_loop().time())
        self.asked.append(told)
        answer = self.answer(told)
        await asyncio.sleep(answer.seconds)
        if 200 <= answer.status < 300:
            self.taken.append(told)
        given = "".join(f"{name}: {value}\r\n" for name, value in answer.headers.items())
        length = "" if answer.endless else f"Content-Length: {len(answer.body)}\r\n"
        start = f"HTTP/1.1 {answer.status} Answered\r\n{length}{given}\r\n"
        writer.write(start.encode() + answer.body)
        await writer.drain()
        while answer.endless:
            writer.write(b"x" * 1_000)
            await writer.drain()
        return True
