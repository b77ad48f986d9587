"""A way to a server, by TCP or by a Unix socket, that refuses connections or holds them up when told to."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

Place = int | Path | tuple[str, int]
_LOOPBACK = "127.0.0.1"


class Link:
    """Listens at `here` and passes on to `there`: a port of this machine, the path of a socket, or a host's port.

    Troubles may overlap: each lasts until the last of its kind is over.
    """

    def __init__(self, here: int | Path, there: Place) -> None:
        self._here = here
        self._there = there
        self._server: asyncio.Server | None = None
        self._listens = asyncio.Lock()
        self._refusals = 0
        self._flows = asyncio.Event()
        self._flows.set()
        self._hold_ups = 0
        self._ways: dict[asyncio.Task[None], list[asyncio.StreamWriter]] = {}

    async def __aenter__(self) -> Self:
        await self._listen()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._flows.set()
        self._close()
        if self._ways:
            await asyncio.wait(list(self._ways), timeout=5)

    @asynccontextmanager
    async def refusing(self) -> AsyncIterator[None]:
        """Refuse whoever comes, and reset whoever is there."""
        self._refusals += 1
        self._close()
        try:
            yield
        finally:
            self._refusals -= 1
            await self._listen()

    @contextmanager
    def holding_up(self) -> Iterator[None]:
        """Let nothing through; what comes meanwhile arrives late."""
        self._hold_ups += 1
        self._flows.clear()
        try:
            yield
        finally:
            self._hold_ups -= 1
            if not self._hold_ups:
                self._flows.set()

    async def _listen(self) -> None:
        # Two refusals may end at once, and the next may begin while this one starts to listen.
        async with self._listens:
            if self._server is None and not self._refusals:
                self._server = await self._start()
            if self._refusals:
                self._close()

    async def _start(self) -> asyncio.Server:
        if isinstance(self._here, int):
            return await asyncio.start_server(self._serve, _LOOPBACK, self._here, backlog=1024)
        server = await asyncio.start_unix_server(self._serve, self._here, backlog=1024)
        self._here.chmod(0o777)
        return server

    def _close(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        for writer in [writer for ways in self._ways.values() for writer in ways]:
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._ways[task] = [writer]
        try:
            await self._connect(task, reader, writer)
        finally:
            for way in self._ways.pop(task):
                way.transport.abort()

    async def _connect(
        self, task: asyncio.Task[None], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        try:
            there, back = await _open(self._there)
        except OSError:
            return
        self._ways[task].append(back)
        await asyncio.gather(self._pass_on(reader, back), self._pass_on(there, writer))

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(65_536):
                await self._flows.wait()
                writer.write(data)
                await writer.drain()
        writer.close()


async def _open(place: Place) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    if isinstance(place, Path):
        return await asyncio.open_unix_connection(place)
    host, port = (_LOOPBACK, place) if isinstance(place, int) else place
    return await asyncio.open_connection(host, port)
