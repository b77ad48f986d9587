"""A wire to Redis that counts requests and can lose answers."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit


class RedisWire:
    """`requests` counts what arrived in one piece from a client, which one small command does.

    As many connections as `cuts` says are cut when their next request arrives. It is lost, but for `cuts_after`.
    """

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._writers: list[asyncio.StreamWriter] = []
        self._tasks: list[asyncio.Task[None]] = []
        self.requests = 0
        self.loses_answers = False
        self.cuts = 0
        self.cuts_after = False
        self.url = ""

    @classmethod
    @asynccontextmanager
    async def to(cls, redis_url: str) -> AsyncIterator["RedisWire"]:
        place = urlsplit(redis_url)
        wire = cls(place.hostname or "", place.port or 0)
        server = await asyncio.start_server(wire._connect, "127.0.0.1", 0)
        wire.url = f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}/0"
        try:
            yield wire
        finally:
            server.close()
            await wire._close()

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from_redis, to_redis = await asyncio.open_connection(*self._target)
        self._writers += [writer, to_redis]
        self._tasks += [
            asyncio.create_task(self._pass_requests(reader, to_redis, writer)),
            asyncio.create_task(self._pass_answers(from_redis, writer)),
        ]

    async def _pass_requests(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, client: asyncio.StreamWriter
    ) -> None:
        while data := await reader.read(65_536):
            self.requests += 1
            if self.cuts:
                self.cuts -= 1
                client.transport.abort()
                if self.cuts_after:
                    writer.write(data)
                return
            writer.write(data)

    async def _pass_answers(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            if not self.loses_answers:
                writer.write(data)

    async def _close(self) -> None:
        for task in self._tasks:
            task.cancel()
        for writer in self._writers:
            writer.close()
        await asyncio.gather(*self._tasks, *(writer.wait_closed() for writer in self._writers), return_exceptions=True)
