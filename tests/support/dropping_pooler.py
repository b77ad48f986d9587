"""Stands between clients and Postgres as a pooler does, and drops a parameter of their sessions."""

import asyncio
import struct
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

_SOCKET = ".s.PGSQL.5432"


class DroppingPooler:
    """Listens in `folder` for the Postgres whose socket is in `server`."""

    def __init__(self, folder: Path, server: Path, parameter: str) -> None:
        self._here = folder / _SOCKET
        self._there = server / _SOCKET
        self._parameter = parameter.encode()
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_unix_server(self._serve, self._here)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        there, towards = await asyncio.open_unix_connection(self._there)
        try:
            towards.write(self._without(await _startup(reader)))
            await asyncio.gather(_copy(reader, towards), _copy(there, writer))
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            for each in (towards, writer):
                each.transport.abort()

    def _without(self, startup: bytes) -> bytes:
        words = startup[4:].rstrip(b"\x00").split(b"\x00")
        pairs = zip(words[::2], words[1::2], strict=True)
        kept = b"".join(name + b"\x00" + value + b"\x00" for name, value in pairs if name != self._parameter)
        body = startup[:4] + kept + b"\x00"
        return struct.pack("!i", len(body) + 4) + body


async def _startup(reader: asyncio.StreamReader) -> bytes:
    [length] = struct.unpack("!i", await reader.readexactly(4))
    return await reader.readexactly(length - 4)


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65_536):
        writer.write(data)
        await writer.drain()
    with suppress(OSError):
        writer.write_eof()
