"""Pid files that cannot be mistaken: a process is its pid and the moment it was created."""

import json
import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

# The kernel counts in ticks and the wall clock is corrected now and then; a recycled pid is further away than this.
_SAME_MOMENT_SECONDS = 2.0


@dataclass(frozen=True)
class ProcessIdentity:
    pid: int
    created: float

    @classmethod
    def of(cls, pid: int) -> "ProcessIdentity | None":
        try:
            return cls(pid, psutil.Process(pid).create_time())
        except psutil.Error:
            return None

    @classmethod
    def read(cls, pid_file: Path) -> "ProcessIdentity | None":
        try:
            found = json.loads(pid_file.read_text())
            return cls(int(found["pid"]), float(found["created"]))
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def write(self, pid_file: Path) -> None:
        write_atomically(pid_file, json.dumps({"pid": self.pid, "created": self.created}))

    def process(self) -> psutil.Process | None:
        """Return the process if it still lives; None when it ended or its pid belongs to another one by now."""
        try:
            process = psutil.Process(self.pid)
            if abs(process.create_time() - self.created) > _SAME_MOMENT_SECONDS:
                return None
            return None if process.status() == psutil.STATUS_ZOMBIE else process
        except psutil.Error:
            return None


def write_atomically(path: Path, text: str) -> None:
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_text(text)
    draft.replace(path)


def end(identity: ProcessIdentity, stop_signal: int, seconds: float) -> bool:
    """Stop a process that is not our child, by force after `seconds`; tell whether there was one."""
    if (process := identity.process()) is None:
        return False
    family = [process, *_children(process)]
    _send(process, stop_signal)
    if not _gone_within(identity, seconds):
        kill_all(family)
        _gone_within(identity, seconds)
    return True


def kill_all(processes: list[psutil.Process]) -> None:
    for process in processes:
        _send(process, signal.SIGKILL)


def family(pid: int) -> list[psutil.Process]:
    """Return a process and everything it started that still hangs on it."""
    try:
        process = psutil.Process(pid)
    except psutil.Error:
        return []
    return [process, *_children(process)]


def _children(process: psutil.Process) -> list[psutil.Process]:
    try:
        return process.children(recursive=True)
    except psutil.Error:
        return []


def _send(process: psutil.Process, signal_number: int) -> None:
    try:
        process.send_signal(signal_number)
    except psutil.Error:
        return


def _gone_within(identity: ProcessIdentity, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while identity.process() is not None:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True
