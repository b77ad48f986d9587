"""Where a running stack can be reached, as it stands in `stack.json`."""

import fcntl
import json
import os
from pathlib import Path

from pydantic import BaseModel, ValidationError

from services.embedded.errors import StackAlreadyRunningError
from services.embedded.process_identity import write_atomically
from services.embedded.waiting import wait_until

# A reader holds the lock for an instant to see whether it is free.
_LOCK_SECONDS = 1.0


class StackAddresses(BaseModel):
    database_url: str
    redis_url: str
    temporal_address: str
    temporal_ui_url: str
    llm_proxy_url: str
    api_url: str | None = None
    import_folder: str | None = None


class RunningStack(StackAddresses):
    pid: int


class StackFiles:
    """The lock and the addresses of the stack on one folder; one process at a time owns them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock_path = folder / "stack.lock"
        self._addresses_path = folder / "stack.json"
        self._lock: int | None = None

    async def claim(self) -> None:
        """Raise `StackAlreadyRunningError`, with its addresses, when another process has the stack."""
        self._folder.mkdir(parents=True, exist_ok=True)
        lock = os.open(self._lock_path, os.O_RDWR | os.O_CREAT, 0o644)
        if not await wait_until(lambda: _try_lock(lock, fcntl.LOCK_EX), _LOCK_SECONDS):
            os.close(lock)
            raise self._already_running()
        self._lock = lock
        os.ftruncate(lock, 0)
        os.pwrite(lock, str(os.getpid()).encode(), 0)
        self._addresses_path.unlink(missing_ok=True)

    def publish(self, addresses: StackAddresses) -> None:
        running = RunningStack(**addresses.model_dump(), pid=os.getpid())
        write_atomically(self._addresses_path, running.model_dump_json(indent=2, exclude_none=True) + "\n")

    def release(self) -> None:
        self._addresses_path.unlink(missing_ok=True)
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def running(self) -> RunningStack | None:
        """Return the stack that runs on this folder and is ready; None when there is none."""
        try:
            lock = os.open(self._lock_path, os.O_RDONLY)
        except FileNotFoundError:
            return None
        try:
            if _try_lock(lock, fcntl.LOCK_SH):
                return None
        finally:
            os.close(lock)
        try:
            return RunningStack.model_validate_json(self._addresses_path.read_text())
        except (FileNotFoundError, ValidationError):
            return None

    def _already_running(self) -> StackAlreadyRunningError:
        if running := self.running():
            addresses = running.model_dump(exclude={"pid"}, exclude_none=True)
            return StackAlreadyRunningError(self._folder, running.pid, addresses)
        text = self._lock_path.read_text()
        return StackAlreadyRunningError(self._folder, json.loads(text) if text else None, {})


def read_running_stack(folder: Path) -> RunningStack | None:
    """Return the addresses of the stack that runs on `folder`; None when none is ready there."""
    return StackFiles(folder).running()


def _try_lock(lock: int, kind: int) -> bool:
    try:
        fcntl.flock(lock, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
