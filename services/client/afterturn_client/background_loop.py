"""A thread with an event loop, and on it a client that threads hand their calls to."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import CancelledError, Future
from contextlib import AbstractAsyncContextManager, suppress
from typing import TypeVar

from afterturn_client.errors import ClientClosedError
from afterturn_client.memory_client import MemoryClient

ResultT = TypeVar("ResultT")
OpenClient = Callable[[], AbstractAsyncContextManager[MemoryClient]]


class BackgroundLoop:
    """Opens a client on a loop of its own, and closes it there: a process needs one, whatever its threads are."""

    def __init__(self, open_client: OpenClient) -> None:
        self._open_client = open_client
        self._opened: Future[MemoryClient] = Future()
        self._ended: Future[None] = Future()
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="afterturn-client", daemon=True)

    def start(self) -> None:
        """Return when the client is open; raise what opening it raised."""
        self._thread.start()
        self._opened.result()

    @property
    def is_alive(self) -> bool:
        """Never in a process that was forked since: threads are not."""
        return self._thread.is_alive()

    def call(self, ask: Callable[[MemoryClient], Awaitable[ResultT]]) -> ResultT:
        """Return what the client answers, or raise what it raises."""

        async def asked() -> ResultT:
            return await ask(self._opened.result())

        call = asked()
        try:
            future = asyncio.run_coroutine_threadsafe(call, self._loop)
        except RuntimeError:
            call.close()
            raise ClientClosedError from None
        try:
            return future.result()
        except CancelledError:
            raise ClientClosedError from None
        finally:
            future.cancel()  # a caller that was interrupted waits no longer

    def close(self) -> None:
        """Close the client on its loop; raise what closing it raised."""
        if not self._ended.done():
            with suppress(RuntimeError):  # the loop has been closed meanwhile
                self._loop.call_soon_threadsafe(self._stop.set)
        if threading.current_thread() is not self._thread:
            self._ended.result()
            self._thread.join()

    def _run(self) -> None:
        try:
            with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
                runner.run(self._serve())
        except BaseException as error:  # noqa: BLE001  it is raised where somebody waits
            if not self._opened.done():
                self._opened.set_exception(error)
            self._ended.set_exception(error)
        else:
            self._ended.set_result(None)

    async def _serve(self) -> None:
        async with self._open_client() as client:
            self._opened.set_result(client)
            await self._stop.wait()
