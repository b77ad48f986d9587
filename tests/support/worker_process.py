"""A worker, or what is made to die like one, in a process of its own."""

import asyncio
import os
import sys
from asyncio.subprocess import DEVNULL, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import IO

ROOT = Path(__file__).parents[2]


@asynccontextmanager
async def worker_process(*module: str, stderr: int | IO[bytes] = DEVNULL, **environment: str) -> AsyncIterator[Process]:
    """Run a module with its arguments, the product's worker if none is named; it is killed at the end."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        *(module or ("services.worker",)),
        cwd=ROOT,
        env={**os.environ, **environment},
        stdout=DEVNULL,
        stderr=stderr,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()
