"""Real servers for the tests, in a folder whose path is short enough for Unix sockets."""

import asyncio
import os
import signal
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

from services.embedded.server import Server
from services.embedded.temporal_server import TemporalServer

ServerT = TypeVar("ServerT", bound=Server)
# The tests kill processes, never the machine: nothing has to wait for the disk. With commits that are not synchronous a
# killed Postgres forgets the last ones, unless our sessions ask for better: they must.
FAST_POSTGRES = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


@contextmanager
def short_folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="at-") as folder:
        yield Path(folder)


@contextmanager
def running(server: ServerT) -> Iterator[ServerT]:
    """Run a server for tests of any event loop; it is a child of this thread."""
    with asyncio.Runner() as runner:
        runner.run(server.start())
        try:
            yield server
        finally:
            runner.run(server.stop())


@contextmanager
def stopped(pids: Iterable[int]) -> Iterator[None]:
    """Stop processes for a while, as a machine or a disk that hangs does: what they are sent waits for them."""
    pids = list(pids)
    _signal(pids, signal.SIGSTOP)
    try:
        yield
    finally:
        _signal(pids, signal.SIGCONT)


def _signal(pids: list[int], number: signal.Signals) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)


class SmallHistories(TemporalServer):
    """Suggests to continue as new after a dozen events."""

    def command(self) -> list[str]:
        return [*super().command(), "--dynamic-config-value", "limit.historyCount.suggestContinueAsNew=12"]


class FewSignals(TemporalServer):
    """Takes three signals for a run, where Temporal takes ten thousand."""

    def command(self) -> list[str]:
        return [*super().command(), "--dynamic-config-value", "history.maximumSignalsPerExecution=3"]
