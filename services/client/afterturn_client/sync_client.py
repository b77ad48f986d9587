"""The client for code without an event loop: any thread of any process may call it."""

import os
import threading
import time
import weakref
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Literal, Self, TypedDict, TypeVar, Unpack

from temporalio.runtime import Runtime, TelemetryConfig

from afterturn_client.answers import Context, MemoryPage, MessageStatus, Reached, SearchAnswer
from afterturn_client.background_loop import BackgroundLoop
from afterturn_client.errors import ClientClosedError, ClientError
from afterturn_client.memory_client import MemoryClient
from afterturn_client.messages import Message
from afterturn_client.questions import ContextOptions, MemoriesOptions, SearchOptions
from afterturn_client.receipts import TurnReceipt
from afterturn_client.sections import Sections
from afterturn_client.sync_sections import SyncSections
from afterturn_client.turns import TurnParts

ResultT = TypeVar("ResultT")
Call = Callable[[MemoryClient], Awaitable[ResultT]]
_LET_GO_SECONDS = 0.05


class ConnectOptions(TypedDict, total=False):
    """What `MemoryClient.connect` takes by name."""

    temporal_namespace: str | None
    redis_cluster: bool
    api_url: str | None
    api_key: str | None
    batch_size: int
    seconds: float
    api_seconds: float
    queue_in_outage: int
    close_grace_seconds: float


@dataclass(frozen=True, slots=True)
class SyncTurnReceipt:
    """A `TurnReceipt` whose `wait` blocks."""

    room_id: str
    message_ids: tuple[str, ...]
    state: Literal["buffered", "queued"]
    waited: Callable[[Reached, float], list[MessageStatus]]

    def wait(self, reached: Reached = "digested", *, seconds: float = 60.0) -> list[MessageStatus]:
        """Do as `TurnReceipt.wait`."""
        return self.waited(reached, seconds)


class SyncMemoryClient:
    """A `MemoryClient` for threads and prefork servers.

    It is made without I/O, at import if you like: each process opens its own connections with its first call, on a
    thread of its own, and what threads record at the same time shares round trips. Close it, or leave it to the end of
    the process.
    """

    def __init__(self, open_client: Callable[[], AbstractAsyncContextManager[MemoryClient]]) -> None:
        self._open_client = open_client
        # By process: what a forked process inherits is its parent's, the lock included, which may have been held.
        self._loops: dict[int, BackgroundLoop] = {}
        self._locks: dict[int, threading.Lock] = {}
        self._is_closed = False
        self._at_exit = weakref.finalize(self, _close_at_exit, self._loops)

    @classmethod
    def connect(
        cls, redis_url: str | None = None, temporal_address: str | None = None, **options: Unpack[ConnectOptions]
    ) -> Self:
        """Take what `MemoryClient.connect` takes; nothing is opened yet."""

        def open_client() -> AbstractAsyncContextManager[MemoryClient]:
            # Temporal's default runtime is one for all of a process and does not survive a fork.
            runtime = Runtime(telemetry=TelemetryConfig())
            return MemoryClient.connect(redis_url, temporal_address, temporal_runtime=runtime, **options)

        return cls(open_client)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close what this process opened. Raise `UnsentMessagesError` where messages still wait or were refused."""
        self._is_closed = True
        self._at_exit.detach()
        loop = self._loops.pop(os.getpid(), None)
        if loop is not None:
            loop.close()

    def record_turn(self, room_id: str, *, user: str, **parts: Unpack[TurnParts]) -> SyncTurnReceipt:
        """Do as `MemoryClient.record_turn`."""
        return self._receipt(self._call(lambda memory: memory.record_turn(room_id, user=user, **parts)))

    def record(self, room_id: str, messages: Sequence[Message]) -> SyncTurnReceipt:
        """Do as `MemoryClient.record`."""
        return self._receipt(self._call(lambda memory: memory.record(room_id, messages)))

    def context(self, room_id: str, **options: Unpack[ContextOptions]) -> Context:
        """Do as `MemoryClient.context`."""
        return self._call(lambda memory: memory.context(room_id, **options))

    def search(self, query: str, **options: Unpack[SearchOptions]) -> SearchAnswer:
        """Do as `MemoryClient.search`."""
        return self._call(lambda memory: memory.search(query, **options))

    def memories(self, **options: Unpack[MemoriesOptions]) -> MemoryPage:
        """Do as `MemoryClient.memories`."""
        return self._call(lambda memory: memory.memories(**options))

    def sections(
        self, *, user_id: str | None = None, company_id: str | None = None, namespace: str | None = None
    ) -> SyncSections:
        """Do as `MemoryClient.sections`."""

        def asks(ask: Callable[[Sections], Awaitable[ResultT]]) -> ResultT:
            async def asked(memory: MemoryClient) -> ResultT:
                return await ask(memory.sections(user_id=user_id, company_id=company_id, namespace=namespace))

            return self._call(asked)

        return SyncSections(asks)

    @property
    def queued(self) -> int:
        """How many messages wait in this process's memory for Redis to come back."""
        loop = self._loops.get(os.getpid())
        return 0 if loop is None else loop.call(_queued)

    def _receipt(self, receipt: TurnReceipt) -> SyncTurnReceipt:
        def waited(reached: Reached, seconds: float) -> list[MessageStatus]:
            return self._call(lambda _: receipt.wait(reached, seconds=seconds))

        return SyncTurnReceipt(receipt.room_id, receipt.message_ids, receipt.state, waited)

    def _call(self, ask: Call[ResultT]) -> ResultT:
        return self._loop().call(ask)

    def _loop(self) -> BackgroundLoop:
        if self._is_closed:
            raise ClientClosedError
        pid = os.getpid()
        loop = self._loops.get(pid)
        if loop is not None and loop.is_alive:
            return loop
        with self._locks.setdefault(pid, threading.Lock()):
            loop = self._loops.get(pid)
            if loop is None or not loop.is_alive:
                loop = BackgroundLoop(self._open_client)
                loop.start()
                self._loops[pid] = loop
        return loop


async def _queued(memory: MemoryClient) -> int:
    return memory.outage_queue.waiting if memory.outage_queue else 0


def _close_at_exit(loops: dict[int, BackgroundLoop]) -> None:
    loop = loops.pop(os.getpid(), None)
    if loop is not None:
        with suppress(ClientError):  # messages that were never sent are in the log by now
            loop.close()
        # The threads of Temporal's client have to let go of the interpreter before it ends (sdk-python issue 300).
        time.sleep(_LET_GO_SECONDS)
