"""What every server of the stack has in common: it starts, proves that it is ready, stops, and can be killed."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Self

import psutil

from services.embedded.errors import ServerFailedError
from services.embedded.process_identity import ProcessIdentity, end, family, kill_all
from services.embedded.waiting import wait_until

_LAUNCH = Path(__file__).with_name("launch.py")
_LOG_BYTES = 32 * 1024 * 1024


class Server(ABC):
    """One server process on one folder.

    Start it from a thread that lives as long as it shall run, best the main one: on Linux the kernel ends it with that
    thread. Nothing here belongs to an event loop, so it may be started on one and stopped on another.
    """

    title: str
    stop_signal: ClassVar[int] = signal.SIGTERM
    # Sent by the kernel when the supervising process is gone.
    orphan_signal: ClassVar[int] = signal.SIGKILL
    start_seconds: float = 60.0
    stop_seconds: float = 15.0

    def __init__(self, folder: Path, *, log: Path | None = None, pid_file: Path | None = None) -> None:
        self.folder = folder.absolute()
        self.log = (log or self.folder.with_name(f"{self.folder.name}.log")).absolute()
        self.pid_file = (pid_file or self.folder.with_name(f"{self.folder.name}.pid")).absolute()
        self._process: subprocess.Popen[bytes] | None = None

    @abstractmethod
    def command(self) -> list[str]:
        """Return the program, by its full path, and its arguments."""

    @abstractmethod
    async def is_ready(self) -> bool:
        """Tell whether it does its work, not only whether it runs."""

    async def prepare(self) -> None:  # noqa: B027 - most have nothing to add
        """Do what has to be done before each start; nothing of an earlier run is alive any more."""

    async def finish(self) -> None:  # noqa: B027 - most have nothing to add
        """Do what has to be done once it is ready."""

    def environment(self) -> dict[str, str]:
        return dict(os.environ)

    def working_folder(self) -> Path:
        return self.folder

    def user(self) -> str | None:
        """Name the account that it shall run under; None keeps ours."""
        return None

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process and self._process.poll() is None else None

    @property
    def ended_by_itself(self) -> int | None:
        """Return the exit status of a server that nobody stopped; None while it runs or when it was stopped."""
        return self._process.poll() if self._process else None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Start on the data that is there and return once it is ready; what an earlier run left behind is ended."""
        if self.pid is not None:
            return
        for path in (self.folder, self.log.parent, self.pid_file.parent):
            path.mkdir(parents=True, exist_ok=True)
        await asyncio.to_thread(self.end_leftover)
        await self.prepare()
        self._spawn()
        try:
            await self._wait_until_ready()
            await self.finish()
        except BaseException:
            await self.kill()
            self._process = None
            raise

    async def stop(self) -> None:
        """Ask it to end, and make it after `stop_seconds`; without effect when it does not run."""
        process, self._process = self._process, None
        if process is None:
            return
        if process.poll() is None:
            relatives = family(process.pid)
            process.send_signal(self.stop_signal)
            await wait_until(lambda: process.poll() is not None, self.stop_seconds)
            kill_all(relatives)
            await wait_until(lambda: process.poll() is not None, self.stop_seconds)
        self.pid_file.unlink(missing_ok=True)

    async def kill(self) -> None:
        """`kill -9` it and all that it started, as a crash would."""
        process = self._process
        if process is None:
            return
        relatives = family(process.pid)
        kill_all(relatives)
        await wait_until(lambda: process.poll() is not None, self.stop_seconds)
        await wait_until(lambda: not any(map(_lives, relatives)), self.stop_seconds)

    def end_leftover(self) -> bool:
        """End the process of an earlier run on this folder; tell whether there was one."""
        left = ProcessIdentity.read(self.pid_file)
        found = left is not None and end(left, self.stop_signal, self.stop_seconds)
        self.pid_file.unlink(missing_ok=True)
        return found

    def _spawn(self) -> None:
        _keep_short(self.log)
        launch = [sys.executable, "-I", "-S", str(_LAUNCH), str(os.getpid()), str(int(self.orphan_signal))]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 - programs of our own packages
                [*launch, self.user() or "-", *self.command()],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.working_folder(),
                env=self.environment(),
                # Ctrl-C in the terminal is for the supervisor, which then stops its servers in their order.
                start_new_session=True,
                # What they store is chat content: for nobody else on this machine.
                umask=0o077,
            )
        if identity := ProcessIdentity.of(self._process.pid):
            identity.write(self.pid_file)

    async def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + self.start_seconds
        while not await self.is_ready():
            if (status := self.ended_by_itself) is not None:
                raise ServerFailedError(self.title, f"ended at its start with status {status}", self.log)
            if time.monotonic() > deadline:
                raise ServerFailedError(self.title, f"was not ready after {self.start_seconds:.0f} s", self.log)
            await asyncio.sleep(0.05)


def _keep_short(log: Path) -> None:
    if log.exists() and log.stat().st_size > _LOG_BYTES:
        log.replace(log.with_name(f"{log.name}.1"))


def _lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False
