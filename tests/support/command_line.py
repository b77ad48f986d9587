"""Runs the command line: in this process, which saves its start, or in one of its own, as a shell does."""

import asyncio
import io
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from services.cli.app import run_app

ROOT = Path(__file__).parents[2]
# Less than a test may take, which ends the process of all tests.
SECONDS = 170


@dataclass(frozen=True)
class Finished:
    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        return json.loads(self.out)


class CommandLine:
    """`afterturn` with this process's environment; a process of its own works in `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    async def __call__(self, *args: str, stdin: str = "", **environment: str) -> Finished:
        async with asyncio.timeout(SECONDS):
            return await asyncio.to_thread(_run, args, stdin, environment)

    async def process(self, *args: str, **environment: str) -> Finished:
        process = await self.start(*args, **environment)
        try:
            out, err = await asyncio.wait_for(process.communicate(), SECONDS)
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        return Finished(process.returncode or 0, out.decode(), err.decode())

    async def start(self, *args: str, **environment: str) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "services.cli",
            *args,
            cwd=self.folder,
            env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "error", **environment},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )


def _run(args: tuple[str, ...], stdin: str, environment: dict[str, str]) -> Finished:
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err), _given(stdin, environment):
        code = run_app(args)
    return Finished(code, out.getvalue(), err.getvalue())


@contextmanager
def _given(stdin: str, environment: dict[str, str]) -> Iterator[None]:
    before, terminal = dict(os.environ), sys.stdin
    os.environ.update(environment)
    sys.stdin = io.TextIOWrapper(io.BytesIO(stdin.encode()))
    try:
        yield
    finally:
        sys.stdin = terminal
        # Never emptied on the way: a worker in another thread may look at it at any time.
        for name in os.environ.keys() - before.keys():
            del os.environ[name]
        os.environ.update(before)
