"""How fast rows become memories, and what that costs live chat.

`python -m tests.benchmarks.backfills [OWNERS [KILLS]]`. The worker is a process of its own, killed with SIGKILL so many
times on the way. Models answer at once, so that what is measured is ours: with an embedded model it is that model that
sets the pace.
"""

import asyncio
import os
import random
import statistics
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from afterturn_client.memory_client import MemoryClient
from rich.console import Console
from rich.table import Table

from services.embedded.postgres_server import PostgresServer
from services.embedded.redis_server import RedisServer
from services.embedded.temporal_server import TemporalServer
from services.operations.backfills import Backfill, Backfills
from services.postgres.migrate import upgrade
from services.resources import Resources, open_resources
from tests.support.loads import add
from tests.support.main_job import settings_of
from tests.support.memories_kept import kept
from tests.support.openai_server import OpenAIServer
from tests.support.servers import short_folder

ROOT = Path(__file__).parents[2]
OWNERS, KILLS = 100_000, 20
TURNS = 60
MEBIBYTE = 1024 * 1024


@dataclass
class MortalWorker:
    """A worker process, started again after each kill; `most` is what memory each of them had at the most, in MiB."""

    kills: int = 0
    most: list[float] = field(default_factory=list)
    process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        self.process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "services.worker", cwd=ROOT, stderr=asyncio.subprocess.DEVNULL
        )
        self.most.append(0.0)

    async def kill(self) -> None:
        if self.process and self.process.returncode is None:
            self.process.kill()
            await self.process.wait()
            self.kills += 1

    def look(self) -> None:
        if self.process:
            with suppress(psutil.Error):
                now = psutil.Process(self.process.pid).memory_info().rss / MEBIBYTE
                self.most[-1] = max(self.most[-1], now)


@asynccontextmanager
async def mortal_worker() -> AsyncIterator[MortalWorker]:
    worker = MortalWorker()
    await worker.start()
    watching = asyncio.create_task(_watch(worker))
    try:
        yield worker
    finally:
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching
        await worker.kill()


async def _watch(worker: MortalWorker) -> None:
    while True:
        worker.look()
        await asyncio.sleep(0.2)


async def killed_load(resources: Resources, owners: int, kills: int) -> list[tuple[str, str]]:
    """Load everybody while the worker is killed every now and then."""
    chance = random.Random(7)
    backfills = Backfills(resources.temporal)
    async with mortal_worker() as worker:
        started = time.perf_counter()
        backfill_id = await backfills.start_all("user")
        loading = asyncio.create_task(backfills.wait(backfill_id))
        while worker.kills < kills and not loading.done():
            await asyncio.wait([loading], timeout=chance.uniform(15, 30))
            if not loading.done():
                await worker.kill()
                await worker.start()
        loaded = await loading
        seconds = time.perf_counter() - started
        history = await resources.temporal.get_workflow_handle(backfill_id).fetch_history()
    report = await kept(resources.database)
    return [
        *_totals(loaded, seconds),
        ("history events", f"{len(history.events)}"),
        ("worker killed", f"{worker.kills} times"),
        ("a worker's memory at the most", ", ".join(f"{most:.0f}" for most in worker.most) + " MiB"),
        ("Mem0 and Postgres agree", str(report.agrees())),
    ]


def _totals(loaded: Backfill, seconds: float) -> list[tuple[str, str]]:
    result = loaded.result.model_dump() if loaded.result else {}
    rate = result.get("total_memories_created", 0) / seconds
    return [("result", f"{loaded.state} {result}"), ("seconds", f"{seconds:.0f}"), ("memories a second", f"{rate:.0f}")]


async def steady_load(resources: Resources, first: int, owners: int) -> list[tuple[str, str]]:
    """Load others with a worker that lives."""
    await add(resources, "user", owners, first=first)
    backfills = Backfills(resources.temporal)
    async with mortal_worker():
        await asyncio.sleep(5)
        started = time.perf_counter()
        loaded = await backfills.wait(await backfills.start_all("user", {"only_missing": True}))
        return _totals(loaded, time.perf_counter() - started)


async def live_chat(resources: Resources, memory: MemoryClient, name: str) -> list[float]:
    """Record turns in rooms of their own; answer the seconds from each turn to its digest."""

    async def turn(number: int) -> float:
        room = f"room:{name}-{number}"
        began = time.perf_counter()
        await memory.record_turn(room, user="I moved to Lima.", assistant="Noted!", user_id=f"{name}-{number}")
        while {receipt.state for receipt in await resources.rooms.receipts(room)} != {"digested"}:
            await asyncio.sleep(0.1)
        return time.perf_counter() - began

    turns = []
    for number in range(TURNS):
        turns.append(asyncio.create_task(turn(number)))
        await asyncio.sleep(0.5)
    return list(await asyncio.gather(*turns))


async def beside_chat(resources: Resources, memory: MemoryClient, first: int, owners: int) -> list[tuple[str, str]]:
    backfills = Backfills(resources.temporal)
    async with mortal_worker():
        await live_chat(resources, memory, "warm")
        alone = await live_chat(resources, memory, "alone")
        await add(resources, "user", owners, first=first)
        backfill_id = await backfills.start_all("user", {"only_missing": True})
        await asyncio.sleep(3)
        beside = await live_chat(resources, memory, "beside")
        state = (await backfills.describe(backfill_id)).state
        await backfills.cancel(backfill_id)
        await backfills.wait(backfill_id)
    return [
        ("turn to digest, no load, p50 and p95", _percentiles(alone)),
        (f"turn to digest beside a load ({state}), p50 and p95", _percentiles(beside)),
        ("p95 beside it, times that without", f"{_p95(beside) / _p95(alone):.2f}"),
    ]


def _p95(seconds: list[float]) -> float:
    return statistics.quantiles(seconds, n=20)[-1]


def _percentiles(seconds: list[float]) -> str:
    return f"{statistics.median(seconds):.2f} s, {_p95(seconds):.2f} s"


async def main(owners: int, kills: int) -> None:
    with short_folder() as folder:
        async with (
            RedisServer(folder / "redis") as redis,
            PostgresServer(folder / "postgres", database="afterturn") as postgres,
            TemporalServer(folder / "temporal") as server,
            OpenAIServer(answer=lambda _: "The user moved to Lima.") as model,
        ):
            await upgrade(postgres.url)
            os.environ |= settings_of(redis.url, postgres.url, server.address, model)
            async with open_resources() as resources, MemoryClient.connect() as memory:
                await add(resources, "user", owners)
                table = Table("what", "measured", title=f"{owners:,} people, four memories each")
                more = max(1_000, min(10_000, owners // 4))
                for row in [
                    *await killed_load(resources, owners, kills),
                    *await steady_load(resources, owners, more),
                    *await beside_chat(resources, memory, owners + more, 40_000),
                ]:
                    table.add_row(*row)
    Console().print(table)


if __name__ == "__main__":
    given = [int(each) for each in sys.argv[1:]]
    asyncio.run(main(*given, *(OWNERS, KILLS)[len(given) :]))
