"""Workers that merge memories and kill themselves: `python -m tests.support.merging_process DATABASE_URL MODEL_URL`.

The program forks a process for each line that it reads, so that Mem0 is imported once. A line names the owner, and the
event at which the process dies: just before each statement and each commit, counted from 1; 0 never dies.
"""

import asyncio
import contextlib
import importlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import UUID

from sqlalchemy import Engine, event

from services.domain.errors import TransientError
from services.domain.memories import Owner
from services.llm_proxy.client import ModelClient
from services.mem0_store.open_source import OpenSourceStore
from services.mem0_store.quiet_import import before_mem0
from services.memories.merging import Merging
from services.memories.saving import MemoryService
from services.postgres.database import Database
from services.postgres.memories.merges import Merges
from tests.support.memories_kept import MODEL

_ROOT = Path(__file__).parents[2]
_PATIENCE = 120


class MortalMergers:
    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def merge(self, owner: Owner, *, fatal: int = 0) -> bool:
        """Merge in a process that dies at an event; True where it lived."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps([str(owner.id), fatal]).encode() + b"\n")
        told = await asyncio.wait_for(self._process.stdout.readline(), _PATIENCE)
        code: int = json.loads(told)
        assert code in (0, -signal.SIGKILL), code
        return code == 0


@asynccontextmanager
async def mortal_mergers(database_url: str, model_url: str) -> AsyncIterator[MortalMergers]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.support.merging_process",
        database_url,
        model_url,
        cwd=_ROOT,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        yield MortalMergers(process)
    finally:
        process.kill()
        await process.communicate()


class _Fatal:
    def __init__(self, at: int) -> None:
        self._left = at
        event.listen(Engine, "before_cursor_execute", self._happened)
        event.listen(Engine, "commit", self._happened)

    def _happened(self, *_: object) -> None:
        self._left -= 1
        if self._left == 0:
            os.kill(os.getpid(), signal.SIGKILL)


async def _merge(database_url: str, model_url: str, owner: Owner) -> None:
    async with (
        Database.open(database_url) as database,
        ModelClient.open(model_url) as model,
        OpenSourceStore.open(database_url, model, MODEL) as store,
    ):
        merging = Merging(MemoryService(store), Merges(database))
        while True:
            with contextlib.suppress(TransientError):
                await merging.merge(owner, run_id="mortal")
                return


def _fork(database_url: str, model_url: str, owner: Owner, fatal: int) -> int:
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            _Fatal(fatal)
            asyncio.run(_merge(database_url, model_url, owner))
            code = 0
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def main() -> None:
    before_mem0()
    importlib.import_module("services.mem0_store.vectors")
    for line in sys.stdin:
        id_, fatal = json.loads(line)
        code = _fork(sys.argv[1], sys.argv[2], Owner("user", UUID(id_)), fatal)
        print(json.dumps(code), flush=True)  # noqa: T201  the test waits for it


if __name__ == "__main__":
    main()
