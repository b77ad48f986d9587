"""What both sides of the comparison have in common: they record turns, and say when each was digested."""

import asyncio
import json
import os
import sys
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import psutil
from afterturn_client.redis_connection import open_redis

from services.embedded.process_identity import family, kill_all
from tests.benchmarks.side_by_side.talk import Turn

ROOT = Path(__file__).parents[3]
_START_SECONDS = 12.0


@dataclass(frozen=True, slots=True)
class Servers:
    """What both sides use. `settings` tell our processes of all of it."""

    redis_url: str
    database_url: str
    celery_database_url: str
    temporal_address: str
    model_url: str
    settings: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of messages that were acknowledged.

    `lost` are nowhere, `stranded` stand in Redis alone, `waiting` are archived and not digested.
    """

    lost: int
    stranded: int
    waiting: int
    doubled: int


class Arm(ABC):
    """One side. Workers are processes of their own, so that they can be counted, measured and killed."""

    name: str

    def __init__(self, servers: Servers, logs: Path) -> None:
        self.servers = servers
        self._logs = logs
        self._workers: list[asyncio.subprocess.Process] = []
        self.kills = 0

    @abstractmethod
    def worker_command(self) -> list[str]: ...

    @abstractmethod
    def environment(self) -> dict[str, str]: ...

    @abstractmethod
    async def record(self, turn: Turn) -> None: ...

    @abstractmethod
    async def digested(self, rooms: str) -> dict[str, float]:
        """Give when each turn was digested, by its id, in rooms whose name begins so."""

    @abstractmethod
    async def outcome(self, rooms: str, turns: int) -> Outcome: ...

    @property
    @abstractmethod
    def database_url(self) -> str: ...

    @property
    def roots(self) -> list[int]:
        """The processes that do the arm's work, without Redis and Postgres, which both use."""
        return [worker.pid for worker in self._workers if worker.returncode is None]

    @abstractmethod
    async def count(self, rooms: str) -> int:
        """Count the turns that were digested in rooms whose name begins so."""

    async def drop_backlog(self) -> None:  # noqa: B027  only of one side does the next one take what it left
        """Forget what was recorded and not worked off."""

    async def start_worker(self) -> None:
        self._workers.append(await started(self.worker_command(), self.environment(), self._logs / "worker.log"))

    @asynccontextmanager
    async def working(self) -> AsyncIterator[None]:
        """Run one worker, or what stands in for it after a kill, while the body runs; it is given time to start."""
        await self.start_worker()
        try:
            await asyncio.sleep(_START_SECONDS)
            yield
        finally:
            await self.stop_workers()

    def signal_workers(self, number: int) -> None:
        for worker in self._workers:
            for process in family(worker.pid):
                process.send_signal(number)

    async def stop_workers(self) -> None:
        for worker in self._workers:
            await stop(worker)
        self._workers.clear()

    async def kill_worker(self) -> None:
        """`kill -9` a worker with all its processes, as the machine's out-of-memory killer may."""
        worker = self._workers.pop(0)
        kill_all(family(worker.pid))
        await worker.wait()
        self.kills += 1

    async def stranded(self, rooms: str) -> int:
        """Count the messages that are in a list of these rooms and not archived."""
        async with open_redis(self.servers.redis_url, answer_seconds=30) as redis:
            lists = [key async for key in redis.scan_iter(match=f"*{rooms}*", _type="list")]
            ids = {json.loads(entry)["id"] for key in lists for entry in await redis.lrange(key, 0, -1)}
        async with self.reading() as connection:
            archived = await connection.fetch("select id from messages where id = any($1::text[])", list(ids))
        return len(ids) - len({row["id"] for row in archived})

    @asynccontextmanager
    async def reading(self) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
        connection = await asyncpg.connect(self.database_url)
        try:
            yield connection
        finally:
            await connection.close()


async def started(command: list[str], environment: Mapping[str, str], log: Path) -> asyncio.subprocess.Process:
    with log.open("ab") as file:
        return await asyncio.create_subprocess_exec(
            sys.executable, "-m", *command, cwd=ROOT, env={**os.environ, **environment}, stdout=file, stderr=file
        )


async def stop(process: asyncio.subprocess.Process) -> None:
    """Ask it to end, and make it after a while."""
    if process.returncode is not None:
        return
    relatives = family(process.pid)
    process.terminate()
    try:
        async with asyncio.timeout(10):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
    kill_all([one for one in relatives if psutil.pid_exists(one.pid)])
