"""Open-source stores in processes that kill themselves at a statement of their transactions.

The program forks a process for each line that it reads, so that Mem0 is imported once. A line asks for memories to be
saved in turn, and for the event, counted from 1, at which the process dies: just before each statement, before each
commit, and after the answer. What was saved is told line by line, then how many events there were.
"""

import asyncio
import contextlib
import importlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from sqlalchemy import Engine, event

from services.domain.errors import MemoryStoreUnavailableError, ModelUnavailableError, TransientError
from services.domain.memories import NewMemory, Owner
from services.llm_proxy.client import ModelClient
from services.mem0_store.open_source import OpenSourceStore
from services.mem0_store.quiet_import import before_mem0
from tests.support.memories_kept import MODEL

_ROOT = Path(__file__).parents[2]
_TRIES = 20
# The first process waits until Mem0 is imported, which takes long where much else runs.
_PATIENCE = 120


@dataclass(frozen=True)
class Died:
    """How many of the memories were saved and told; `events` is None where the process was killed."""

    saved: int
    events: int | None


class DyingStores:
    """Has memories saved by processes that may die; opened with `dying_stores`."""

    def __init__(self, process: asyncio.subprocess.Process, database_url: str, model_url: str) -> None:
        self._process = process
        self._urls = {"database_url": database_url, "model_url": model_url}

    async def save(self, memories: Sequence[tuple[Owner, NewMemory]], *, fatal: int | None = None) -> Died:
        written = [
            [owner.type, str(owner.id), memory.slug, memory.content, memory.asserted_at.isoformat()]
            for owner, memory in memories
        ]
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({**self._urls, "memories": written, "fatal": fatal}).encode() + b"\n")
        saved, events = 0, None
        while "exit" not in (told := await self._told()):
            saved += "saved" in told
            events = told.get("events", events)
        assert told["exit"] == (0 if events is not None else -signal.SIGKILL), told
        return Died(saved, events)

    async def _told(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = await asyncio.wait_for(self._process.stdout.readline(), _PATIENCE)
        told: dict[str, Any] = json.loads(line)
        return told


@asynccontextmanager
async def dying_stores(database_url: str, model_url: str) -> AsyncIterator[DyingStores]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.support.dying_store",
        cwd=_ROOT,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=2**22,
    )
    try:
        yield DyingStores(process, database_url, model_url)
    finally:
        process.kill()
        await process.communicate()


class _Fatal:
    """Counts the events of every transaction, whichever thread they happen in, and dies at one."""

    def __init__(self, at: int | None) -> None:
        self.count = 0
        self._at = at
        event.listen(Engine, "before_cursor_execute", self.happened)
        event.listen(Engine, "commit", self.happened)

    def happened(self, *_: object) -> None:
        self.count += 1
        if self.count == self._at:
            os.kill(os.getpid(), signal.SIGKILL)


def _tell(**told: object) -> None:
    os.write(1, json.dumps(told).encode() + b"\n")


async def _save(asked: dict[str, Any]) -> None:
    fatal = _Fatal(asked["fatal"])
    async with (
        ModelClient.open(asked["model_url"]) as model,
        OpenSourceStore.open(asked["database_url"], model, MODEL) as store,
    ):
        for owner_type, owner_id, slug, content, asserted_at in asked["memories"]:
            memory = NewMemory(slug, content, datetime.fromisoformat(asserted_at))
            await _until_saved(store, Owner(owner_type, UUID(owner_id)), memory)
            fatal.happened()
            _tell(saved=slug)
    _tell(events=fatal.count)


async def _until_saved(store: OpenSourceStore, owner: Owner, memory: NewMemory) -> None:
    """As an activity does it: an owner who is deleted meanwhile breaks off what is written about them."""
    for _ in range(_TRIES):
        with contextlib.suppress(TransientError):
            await store.save(owner, memory)
            return
    raise AssertionError("saving failed again and again")


async def _warm_up() -> None:
    """Import, once for all processes, what is imported at first use; nothing connects."""
    before_mem0()
    importlib.import_module("services.mem0_store.vectors")
    async with ModelClient.open("http://127.0.0.1:1") as model:
        with contextlib.suppress(ModelUnavailableError):
            await model.embed(model=MODEL, texts=["x"], input_type="passage")
        async with OpenSourceStore.open("postgresql://127.0.0.1:1/nowhere", model, MODEL) as store:
            with contextlib.suppress(MemoryStoreUnavailableError):
                await store.reconcile(None, limit=1)


def _serve() -> None:
    asyncio.run(_warm_up())
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            asyncio.run(_save(json.loads(line)))
            os._exit(0)
        _, status = os.waitpid(child, 0)
        _tell(exit=os.waitstatus_to_exitcode(status))


if __name__ == "__main__":
    _serve()
