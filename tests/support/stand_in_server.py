"""What the stand-ins for other services share: a real HTTP server that goes down, and comes up on the port it had."""

import asyncio
import ssl
from abc import ABC, abstractmethod
from types import TracebackType
from typing import Self

from services.embedded.ports import LOOPBACK, free_port


class StandInServer(ABC):
    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.port = free_port()
        self._tls = tls
        self._server: asyncio.Server | None = None
        self._is_up = False
        # Who takes it down and who brings it up may be two: one after the other, or both would listen.
        self._changes = asyncio.Lock()
        self._connections: set[asyncio.Task[None]] = set()

    @abstractmethod
    async def exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Read one request and answer it; tell whether the connection may have another one."""

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self.port}"

    @property
    def open_connections(self) -> int:
        return len(self._connections)

    async def __aenter__(self) -> Self:
        await self.up()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.down()

    async def up(self) -> None:
        async with self._changes:
            if self._server is None:
                self._is_up = True
                self._server = await asyncio.start_server(
                    self._serve, LOOPBACK, self.port, limit=2**20, backlog=1024, ssl=self._tls
                )

    async def down(self) -> None:
        """Stop listening and cut every connection."""
        async with self._changes:
            if self._server is None:
                return
            self._is_up = False
            self._server.close()
            tasks = list(self._connections)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._server.wait_closed()
            self._server = None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        if not self._is_up:
            # Accepted as the server went down, too late to be cut with the others.
            writer.transport.abort()
            return
        self._connections.add(task)
        try:
            while await self.exchange(reader, writer):
                pass
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self._connections.discard(task)
            writer.transport.abort()


async def read_request(reader: asyncio.StreamReader) -> tuple[str, str, dict[str, str], bytes]:
    """Give the method, the target, the headers by their names in lower case, and the body."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    method, target, _version = head[0].split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)}
    return method, target, headers, await reader.readexactly(int(headers.get("content-length", 0)))
