"""A way to a server by TLS alone, for those that come with none: whoever comes must show a certificate of ours."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

from tests.support.certificates import Authority

Connect = Callable[[], Awaitable[tuple[asyncio.StreamReader, asyncio.StreamWriter]]]
# What a Postgres client sends before anything else: a length of 8, and which encryption it asks for.
_ASKS_FOR_TLS, _ASKS_FOR_GSS = (bytes.fromhex(f"00000008{code}") for code in ("04d2162f", "04d21630"))


class TlsWay:
    def __init__(self, connect: Connect, context: ssl.SSLContext, *, is_postgres: bool) -> None:
        self._connect = connect
        self._context = context
        self._is_postgres = is_postgres
        self._tasks: set[asyncio.Task[None]] = set()
        self.port = 0
        self.carried = 0
        self.refused = 0

    @asynccontextmanager
    async def running(self) -> AsyncIterator["TlsWay"]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            await self._carry(reader, writer)
        except (OSError, asyncio.IncompleteReadError):
            self.refused += 1
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._is_postgres:
            await self._agree_on_tls(reader, writer)
        await writer.start_tls(self._context)
        there, back = await self._connect()
        self.carried += 1
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(_pass_on(reader, back))
                both.create_task(_pass_on(there, writer))
        finally:
            back.close()

    async def _agree_on_tls(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while (asks := await reader.readexactly(8)) == _ASKS_FOR_GSS:
            writer.write(b"N")
        if asks != _ASKS_FOR_TLS:
            raise ConnectionError("it would talk in the clear")
        writer.write(b"S")
        await writer.drain()


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while said := await reader.read(65_536):
            writer.write(said)
            await writer.drain()
    writer.close()


def tls_way(authority: Authority, connect: Connect, *, is_postgres: bool = False) -> TlsWay:
    server = authority.issue("server")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(authority.root))
    context.load_cert_chain(server.path, server.key_path)
    context.verify_mode = ssl.CERT_REQUIRED
    # Without it no gRPC client goes on.
    context.set_alpn_protocols(["h2", "postgresql"])
    return TlsWay(connect, context, is_postgres=is_postgres)
