"""Recording a turn against Celery's `.delay()` of the same turn, on the same Redis.

    python -m tests.benchmarks.recording [TURNS]

Celery is set up to be quick: its results are ignored, its producers and connections pooled, nothing is compressed and
no events are sent. Fifty callers are threads for Celery, which has no other way, and tasks of one loop for the client.
Each side is warmed up, and they take turns, so that all see the same machine. Redis is as promise 2 asks for it: each
write is on disk before it is acknowledged, whoever writes.
"""

import asyncio
import statistics
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from afterturn_client.memory_client import MemoryClient
from afterturn_client.messages import encode_entry
from afterturn_client.redis_connection import AnyRedis, open_redis
from afterturn_client.sync_client import SyncMemoryClient
from afterturn_client.turns import TurnParts, turn_messages
from celery import Celery
from rich.console import Console
from rich.table import Table

from services.embedded.redis_server import RedisServer
from tests.support.servers import running, short_folder

ROUNDS = 3
TURNS = 6_000
CALLERS = 50
NOWHERE = "127.0.0.1:1"
USER = "I moved to Lima last week and need a flat near the sea, two rooms at least."
REPLY: TurnParts = {
    "assistant": "Noted! I will look for flats with two rooms in Miraflores and Barranco, near the sea.",
    "turn_id": "0123456789abcdef0123456789abcdef",
}


class Measured:
    """The seconds that each call took, and those of the whole run, over all rounds."""

    def __init__(self) -> None:
        self.calls: list[float] = []
        self.rates: list[float] = []

    def add(self, calls: list[float], wall: float) -> None:
        self.calls += calls
        self.rates.append(len(calls) / wall)

    @property
    def rate(self) -> float:
        return statistics.median(self.rates)

    def row(self, name: str, against: "Measured") -> tuple[str, ...]:
        calls = sorted(self.calls)
        p50, p99 = (1000 * calls[int(len(calls) * share)] for share in (0.5, 0.99))
        spread = f"{min(self.rates):,.0f} to {max(self.rates):,.0f}"
        return name, f"{p50:.2f}", f"{p99:.2f}", f"{self.rate:,.0f}", spread, f"{self.rate / against.rate:.1f}"


def celery_task(redis_url: str) -> Any:
    app = Celery("recording", broker=redis_url, set_as_current=False)
    app.conf.update(
        task_ignore_result=True,
        task_serializer="json",
        task_send_sent_event=False,
        broker_pool_limit=CALLERS,
        broker_connection_retry=False,
    )

    def record_turn(room_id: str, **parts: str) -> None: ...

    return app.task(record_turn, name="record_turn")


def in_threads(callers: int, turns: int, call: Any) -> tuple[list[float], float]:
    """Call from so many threads; give the seconds of each call and of all of them."""

    def calls(_: int) -> list[float]:
        seconds = []
        for _ in range(turns // callers):
            started = time.perf_counter()
            call()
            seconds.append(time.perf_counter() - started)
        return seconds

    with ThreadPoolExecutor(callers) as threads:
        started = time.perf_counter()
        all_calls = [one for some in threads.map(calls, range(callers)) for one in some]
        return all_calls, time.perf_counter() - started


async def in_tasks(memory: MemoryClient, callers: int, turns: int) -> tuple[list[float], float]:
    async def calls() -> list[float]:
        seconds = []
        for _ in range(turns // callers):
            started = time.perf_counter()
            await memory.record_turn("user:42", user=USER, **REPLY)
            seconds.append(time.perf_counter() - started)
        return seconds

    started = time.perf_counter()
    all_calls = [one for some in await asyncio.gather(*(calls() for _ in range(callers))) for one in some]
    return all_calls, time.perf_counter() - started


async def client(redis_url: str, callers: int, turns: int) -> tuple[list[float], float]:
    async with MemoryClient.connect(redis_url, NOWHERE, seconds=30, close_grace_seconds=0) as memory:
        await in_tasks(memory, callers, 10 * callers)
        return await in_tasks(memory, callers, turns)


async def bare(redis_url: str, callers: int, turns: int) -> tuple[list[float], float]:
    """Append the same entries and nothing else: what Redis, its disk and its driver take."""
    entries = [encode_entry(message) for message in turn_messages("user:42", USER, REPLY)]

    async def calls(redis: AnyRedis) -> list[float]:
        seconds = []
        for _ in range(turns // callers):
            started = time.perf_counter()
            await redis.rpush("user:42:bare", *entries)
            seconds.append(time.perf_counter() - started)
        return seconds

    async with open_redis(redis_url, answer_seconds=30) as redis:
        await redis.ping()
        started = time.perf_counter()
        all_calls = [one for some in await asyncio.gather(*(calls(redis) for _ in range(callers))) for one in some]
        return all_calls, time.perf_counter() - started


def sync_client(redis_url: str, callers: int, turns: int) -> tuple[list[float], float]:
    def call() -> None:
        memory.record_turn("user:42", user=USER, **REPLY)

    with SyncMemoryClient.connect(redis_url, NOWHERE, seconds=30, close_grace_seconds=0) as memory:
        in_threads(callers, 10 * callers, call)
        return in_threads(callers, turns, call)


def measure(redis_url: str, callers: int, turns: int) -> list[tuple[str, ...]]:
    task = celery_task(redis_url)

    def delay() -> None:
        task.delay("user:42", user=USER, **REPLY)

    celery, floor, tasks, threads = Measured(), Measured(), Measured(), Measured()
    in_threads(callers, 10 * callers, delay)
    for _ in range(ROUNDS):
        celery.add(*in_threads(callers, turns, delay))
        floor.add(*asyncio.run(bare(redis_url, callers, turns)))
        tasks.add(*asyncio.run(client(redis_url, callers, turns)))
        threads.add(*sync_client(redis_url, callers, turns))
    who = "one caller" if callers == 1 else f"{callers} callers"
    return [
        celery.row(f"{who}: Celery's delay()", celery),
        floor.row(f"{who}: a bare RPUSH", celery),
        tasks.row(f"{who}: MemoryClient", celery),
        threads.row(f"{who}: SyncMemoryClient", celery),
    ]


def main(turns: int) -> None:
    table = Table("what", "p50 ms", "p99 ms", "turns a second", "from, to", "times Celery's rate")
    with short_folder() as folder, running(RedisServer(folder / "redis")) as redis:
        for callers in (1, CALLERS):
            for row in measure(redis.url, callers, turns if callers > 1 else turns // 4):
                table.add_row(*row)
    Console(width=110).print(table)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else TURNS)
