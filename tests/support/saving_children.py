"""Starts processes that save memories on the hosted platform, and talks to them."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from services.domain.memories import Owner
from tests.support.platform_store import Servers

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Child:
    process: asyncio.subprocess.Process

    async def save(self, owner: Owner, slug: str, contents: Sequence[str | None], *, day: int = 0) -> list[str]:
        """Let it save all of them at once, and give the ids; empty when it died over it."""
        asked = {"owner_type": owner.type, "owner": str(owner.id), "slug": slug, "contents": contents, "day": day}
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(asked).encode() + b"\n")
        line = await self.process.stdout.readline()
        return list(json.loads(line)) if line else []


@asynccontextmanager
async def child(servers: Servers) -> AsyncIterator[Child]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.support.saving_process",
        json.dumps(asdict(servers)),
        cwd=ROOT,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        assert await asyncio.wait_for(process.stdout.readline(), 60) == b"serving\n"
        yield Child(process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()
