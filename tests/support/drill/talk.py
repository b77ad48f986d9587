"""People who talk all the time, some with ids and some without, and what they were acknowledged."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from afterturn_client.memory_client import MemoryClient
from afterturn_client.messages import decode_entry
from afterturn_client.names import MEMORY_QUEUE, PROCESS_ROOMS
from afterturn_client.redis_connection import AnyRedis
from sqlalchemy import text

from activities.steps import NoInput
from services.resources import Resources

WITH_IDS = ("user:ana", "room:office")
WITHOUT_IDS = ("user:raw", "room:old")
# Everything in it reads the same.
ALIKE = "user:alike"
_PAUSE_SECONDS = 0.15
_SWEEP_SECONDS = 0.5


@dataclass
class Ledger:
    """What was said, by room, and what was acknowledged, with when."""

    all: set[tuple[str, str]] = field(default_factory=set)
    said: list[tuple[str, str, float]] = field(default_factory=list)

    def next(self, room: str) -> str:
        """Say something that nobody has said, with a higher number than before."""
        content = f"number {sum(where == room for where, _ in self.all)} of {room}"
        self.all.add((room, content))
        return content

    def acknowledge(self, room: str, content: str) -> None:
        self.said.append((room, content, time.monotonic()))

    def before(self, moment: float) -> set[tuple[str, str]]:
        return {(room, content) for room, content, at in self.said if at < moment}


@asynccontextmanager
async def everybody_talks(resources: Resources, memory: MemoryClient, ledger: Ledger) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(_with_ids(memory, room, ledger)) for room in WITH_IDS]
    tasks += [asyncio.create_task(_without_ids(resources.redis, room, ledger)) for room in WITHOUT_IDS]
    tasks.append(asyncio.create_task(_sweeps(resources)))
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        for task in tasks:
            with suppress(asyncio.CancelledError):
                await task


async def push(redis: AnyRedis, room: str, *contents: str) -> None:
    entries = [json.dumps({"role": "user", "content": content, "user_id": "raw"}) for content in contents]
    await redis.rpush(f"{room}:messages", *entries)


async def sweep(resources: Resources) -> None:
    """Have rooms found that nobody signalled, as the schedule does every 30 s."""
    await resources.temporal.execute_workflow(
        PROCESS_ROOMS, NoInput(), id=f"sweep-{uuid4().hex}", task_queue=MEMORY_QUEUE
    )


async def archived(resources: Resources) -> list[tuple[str, str]]:
    """Give rooms and contents in the archive's order."""
    async with resources.database.transaction() as session:
        rows = await session.execute(text("select room_id, content from messages order by room_id, seq"))
        return [(row.room_id, row.content) for row in rows]


async def waiting(redis: AnyRedis) -> set[tuple[str, str]]:
    """Give rooms and contents that are in buffers and claims."""
    found: set[tuple[str, str]] = set()
    async for key in redis.scan_iter(match="*:messages*", _type="list"):
        room = key.decode().strip("{").partition(":messages")[0]
        entries: Sequence[Any] = await redis.lrange(key, 0, -1)
        found |= {(room, decode_entry(entry).content) for entry in entries if not entry.startswith(b"\x00")}
    return found


def out_of_order(archive: Sequence[tuple[str, str]]) -> list[str]:
    """Give the rooms in which something numbered stands behind a higher number."""
    found = []
    for room in (*WITH_IDS, *WITHOUT_IDS):
        numbers = [_number(content) for where, content in archive if where == room and content.startswith("number ")]
        found += [room] if numbers != sorted(numbers) else []
    return found


async def _with_ids(memory: MemoryClient, room: str, ledger: Ledger) -> None:
    while True:
        content = ledger.next(room)
        # Each is recorded a second time, as by somebody who was not sure.
        for _ in range(2):
            await memory.record_turn(room, user=content, assistant="Noted.", user_id="ana", turn_id=content.split()[1])
        ledger.acknowledge(room, content)
        await asyncio.sleep(_PAUSE_SECONDS)


async def _without_ids(redis: AnyRedis, room: str, ledger: Ledger) -> None:
    while True:
        content = ledger.next(room)
        await push(redis, room, content)
        ledger.acknowledge(room, content)
        await asyncio.sleep(_PAUSE_SECONDS)


async def _sweeps(resources: Resources) -> None:
    while True:
        await sweep(resources)
        await asyncio.sleep(_SWEEP_SECONDS)


def _number(content: str) -> int:
    return int(content.split(" ")[1])
