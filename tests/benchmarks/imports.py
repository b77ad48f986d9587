"""How fast an import is, and what memory it takes: `python -m tests.benchmarks.imports [MESSAGES]`.

The worker is a process of its own, so that its memory is its own, too.
"""

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import psutil
from afterturn_client.names import MEMORY_QUEUE
from rich.console import Console
from rich.table import Table

from activities.import_steps import ImportResult
from services import temporal
from services.embedded.postgres_server import PostgresServer
from services.embedded.redis_server import RedisServer
from services.embedded.temporal_server import TemporalServer
from services.postgres.migrate import upgrade
from tests.support.exports import million_lines
from tests.support.main_job import settings_of
from tests.support.openai_server import OpenAIServer
from tests.support.servers import short_folder
from workflows.names import IMPORT_HISTORY, import_history_id

ROOT = Path(__file__).parents[2]
MESSAGES = 100_000
MEBIBYTE = 1024 * 1024


@asynccontextmanager
async def worker_process() -> AsyncIterator[psutil.Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "services.worker", cwd=ROOT, stderr=asyncio.subprocess.DEVNULL
    )
    try:
        yield psutil.Process(process.pid)
    finally:
        process.terminate()
        await process.wait()


class HighWater:
    """The most memory that a process had while the body ran, in MiB, and how much of it was new."""

    def __init__(self, process: psutil.Process) -> None:
        self._process = process
        self.before = self.most = 0.0

    @asynccontextmanager
    async def watched(self) -> AsyncIterator[None]:
        self.before = self.most = self._now()
        watching = asyncio.create_task(self._watch())
        try:
            yield
        finally:
            watching.cancel()
            with suppress(asyncio.CancelledError):
                await watching

    async def _watch(self) -> None:
        while True:
            self.most = max(self.most, self._now())
            await asyncio.sleep(0.05)

    def _now(self) -> float:
        return float(self._process.memory_info().rss) / MEBIBYTE


def write(path: Path, messages: int) -> Path:
    with path.open("w") as file:
        file.writelines(million_lines(messages))
    return path


async def imported(source: str, import_id: str) -> tuple[ImportResult, float]:
    """Import a file; answer what came of it, and the seconds it took."""
    client = await temporal.connect()
    started = time.perf_counter()
    result: ImportResult = await client.execute_workflow(
        IMPORT_HISTORY,
        {"source": source, "user_id": "42"},
        id=import_history_id(import_id),
        task_queue=MEMORY_QUEUE,
        result_type=ImportResult,
    )
    return result, time.perf_counter() - started


async def rows(folder: Path, messages: int = MESSAGES) -> list[tuple[str, ...]]:
    """Import a tenth, then all, then all again, with a worker that has imported something before."""
    os.environ["IMPORT_FOLDER"] = str(folder)
    found: list[tuple[str, ...]] = []
    async with worker_process() as process:
        await asyncio.to_thread(write, folder / "first.jsonl", 1_000)
        await imported("first.jsonl", "first")
        for name, many in (("import", messages // 10), ("import", messages), ("import again", messages)):
            path = await asyncio.to_thread(write, folder / f"{many}.jsonl", many)
            memory = HighWater(process)
            async with memory.watched():
                result, seconds = await imported(path.name, f"{name}-{many}".replace(" ", "-"))
            assert result.messages_added + result.repeated == many
            size = path.stat().st_size / MEBIBYTE
            rate, growth = f"{many / seconds:.0f}", f"{memory.before:.0f} → {memory.most:.0f}"
            found.append((f"{name} of {many:,} messages, {size:.0f} MiB", f"{seconds:.1f}", rate, growth))
    return found


async def main(messages: int) -> None:
    with short_folder() as folder:
        async with (
            RedisServer(folder / "redis") as redis,
            PostgresServer(folder / "postgres", database="afterturn") as postgres,
            TemporalServer(folder / "temporal") as server,
            OpenAIServer(answer=lambda _: "The user asks.") as model,
        ):
            await upgrade(postgres.url)
            # What is measured is the import: no digests, and none of their workflows in the cache.
            alone = {"TASK_QUEUES": "memory", "MAX_CACHED_WORKFLOWS": "10"}
            os.environ |= settings_of(redis.url, postgres.url, server.address, model) | alone
            (folder / "imports").mkdir()
            table = Table("what", "seconds", "messages a second", "worker's memory, MiB")
            for row in await rows(folder / "imports", messages):
                table.add_row(*row)
    Console().print(table)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else MESSAGES))
