"""Runs the commands of a page's blocks, as a shell would; `afterturn` in this process, which saves its start."""

import asyncio
import os
import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from string import Template

from services.embedded.postgres_server import postgres_program
from services.embedded.redis_server import redis_program
from tests.support.command_line import ROOT, CommandLine

_SECONDS = 120


def block(page: str, heading: str, name: str) -> str:
    """Give the block ```sh NAME below a heading of docs/PAGE."""
    below = (ROOT / "docs" / page).read_text().partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    found = re.search(rf"```sh {name}\n(.*?)```", below, re.DOTALL)
    assert found, f"{page}: {heading} has no block {name}"
    return found[1]


class Shell:
    """Keeps variables from block to block."""

    def __init__(self, afterturn: CommandLine, variables: Mapping[str, str]) -> None:
        self._afterturn = afterturn
        self.variables = dict(variables)
        self.answers: list[str] = []

    async def run(self, script: str) -> None:
        lines = script.splitlines()
        while lines:
            ours = lines[0].startswith("afterturn ")
            last = next((n for n, line in enumerate(lines) if line.startswith("afterturn ") != ours), len(lines))
            part, lines = lines[:last], lines[last:]
            if ours:
                for line in part:
                    await self._run_afterturn(line)
            else:
                await self._run_others("\n".join(part))

    async def _run_afterturn(self, line: str) -> None:
        # What stands behind `&&` is a line of its own, and comes after a command that went well.
        command, _, file = Template(line.removesuffix(" &&")).substitute(self.variables).partition(" > ")
        done = await self._afterturn(*shlex.split(command)[1:])
        assert done.code == 0, (line, done.out, done.err)
        self.answers.append(done.out)
        if file:
            await asyncio.to_thread(Path(shlex.split(file)[0]).write_text, done.out)

    async def _run_others(self, script: str) -> None:
        programs = {str(postgres_program("psql").parent), str(redis_program().parent)}
        # What a block sets, the next one knows.
        told = f"set -euo pipefail\n{script}\nprintf '\\nat=%s\\n' \"${{at:-}}\""
        process = await asyncio.create_subprocess_exec(
            "bash",
            "-c",
            told,
            env={**os.environ, **self.variables, "PATH": ":".join([*programs, os.environ["PATH"]])},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            out, err = await asyncio.wait_for(process.communicate(), _SECONDS)
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        assert process.returncode == 0, (script, out.decode(), err.decode())
        self.variables["at"] = out.decode().rpartition("\nat=")[2].strip()
