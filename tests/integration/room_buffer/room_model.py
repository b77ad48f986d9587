"""Rooms that are recorded, claimed, archived and released while calls fail, repeat, arrive late and runs are killed.

The buffer and its Redis are the real ones. The workflow, the sweep and the archive are modelled, with the guarantees
that the real ones give: a signal starts a run where none is alive, and the archive stores each (claim, index) once.
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeVar

from afterturn_client.recording import record_entries
from afterturn_client.redis_connection import AnyRedis

from services.room_buffer.buffer import Claim, Empty, RoomBuffer, Wait

T = TypeVar("T")

BATCH_SIZE = 8
QUIET_MS = 6
MAX_WAIT_MS = 40
PAGE = 5
SETTLE_SECONDS = 20.0


@dataclass(frozen=True)
class Faults:
    """How often each goes wrong, from 0 to 1. Without the sweep only wake-ups start a run."""

    lost_wake: float = 0.3
    lost_answer: float = 0.1
    late_copy: float = 0.15
    killed: float = 0.06
    raw_producer: bool = True
    sweep: bool = True
    pause_ms: float = 20


@dataclass(frozen=True)
class Outcome:
    lost: int
    doubled: int
    out_of_order: bool
    left_in_redis: bool

    @property
    def good(self) -> bool:
        return not (self.lost or self.doubled or self.out_of_order or self.left_in_redis)


class _KilledError(Exception):
    """The run is gone, as after kill -9; what it sent may still arrive."""


@dataclass
class Archive:
    stored: list[str] = field(default_factory=list)
    known: set[tuple[str, int]] = field(default_factory=set)

    def commit(self, claim: str, start: int, entries: list[bytes]) -> None:
        for index, entry in enumerate(entries, start):
            if (claim, index) not in self.known:
                self.known.add((claim, index))
                self.stored.append(entry.decode())


class ModelRoom:
    def __init__(self, redis: AnyRedis, buffer: RoomBuffer, faults: Faults, seed: int) -> None:
        self.room_id = f"room:{seed}"
        self._redis = redis
        self._buffer = buffer
        self._faults = faults
        self._dice = random.Random(seed)
        self._archive = Archive()
        self._names = 0
        self._signalled = False
        self._run: asyncio.Task[None] | None = None
        self._late: set[asyncio.Task[None]] = set()

    async def live(self) -> Outcome:
        sent = {"client": self._dice.randint(5, 40), "raw": self._dice.randint(1, 15) * self._faults.raw_producer}
        await asyncio.gather(self._produce("client", sent["client"]), self._produce("raw", sent["raw"]))
        while self._late:
            await asyncio.gather(*self._late)
        left = await self._left_after_settling()
        return self._outcome(sent, left=left)

    def signal(self) -> None:
        """Signal with start."""
        self._signalled = True
        if self._run is None:
            self._run = asyncio.create_task(self._live_run())

    async def ended(self) -> None:
        """Wait for what the sweep started last, on an old sight of the room."""
        await asyncio.gather(*filter(None, [self._run, *self._late]))

    async def _produce(self, producer: str, count: int) -> None:
        number = 0
        while number < count:
            await self._nap(self._faults.pause_ms)
            end = min(count, number + self._dice.choice([1, 1, 2, 9]))
            entries = [f"{producer}:{n}".encode() for n in range(number, end)]
            number += len(entries)
            if producer == "raw":
                await self._redis.rpush(f"{self.room_id}:messages", *entries)
                continue
            appended = await record_entries(self._redis, self.room_id, entries, batch_size=BATCH_SIZE)
            await self._nap(1)
            if appended.wake and not self._happens(self._faults.lost_wake):
                self.signal()

    async def _live_run(self) -> None:
        try:
            await self._drain()
        except _KilledError:
            pass
        finally:
            self._run = None

    async def _drain(self) -> None:
        started = time.monotonic()
        while True:
            self._signalled = False
            answer = await self._claim(int(1000 * (time.monotonic() - started)))
            while isinstance(answer, Claim):
                await self._archive_claim(answer.name)
                answer = await self._release(answer.name)
                started = time.monotonic()
            if isinstance(answer, Wait):
                await asyncio.sleep(answer.ms / 1000)
            elif not self._signalled:
                return

    async def _claim(self, waited_ms: int) -> Claim | Wait | Empty:
        name = self._new_name()
        return await self._step(
            lambda: self._buffer.claim(
                self.room_id,
                quiet_ms=QUIET_MS,
                waited_ms=waited_ms,
                max_wait_ms=MAX_WAIT_MS,
                batch_size=BATCH_SIZE,
                name=name,
            )
        )

    async def _release(self, name: str) -> Claim | Empty:
        following = self._new_name()
        return await self._step(lambda: self._buffer.release(self.room_id, name, following))

    async def _archive_claim(self, name: str) -> None:
        await self._step(lambda: self._archive_pages(name))

    async def _archive_pages(self, name: str) -> None:
        start = 0
        while page := await self._buffer.read(self.room_id, name, start, PAGE):
            await self._nap(2)
            self._archive.commit(name, start, page)
            start += len(page)

    async def _step(self, call: Callable[[], Awaitable[T]]) -> T:
        """Carry out one activity: its answer may get lost, a copy of it may arrive late, its run may die."""
        await self._nap(2)
        if self._happens(self._faults.late_copy):
            late = asyncio.create_task(self._arrive_late(call))
            self._late.add(late)
            late.add_done_callback(self._late.discard)
        if self._happens(self._faults.lost_answer):
            await call()
            await self._nap(3)
        if self._happens(self._faults.killed):
            raise _KilledError
        return await call()

    async def _arrive_late(self, call: Callable[[], Awaitable[object]]) -> None:
        await self._nap(60)
        await call()

    async def _left_after_settling(self) -> bool:
        deadline = time.monotonic() + SETTLE_SECONDS
        while time.monotonic() < deadline:
            await self.ended()
            if not await self._is_in_redis():
                return False
            if not self._faults.sweep and self._run is None:
                return True
            await asyncio.sleep(0.01)
        return True

    async def _is_in_redis(self) -> bool:
        keys = self._redis.scan_iter(match=f"*{self.room_id}:messages*", count=1_000)
        return bool([key async for key in keys])

    def _outcome(self, sent: dict[str, int], *, left: bool) -> Outcome:
        stored = self._archive.stored
        expected = {f"{producer}:{number}" for producer, count in sent.items() for number in range(count)}
        by_producer = [[int(entry.partition(":")[2]) for entry in stored if entry.startswith(name)] for name in sent]
        return Outcome(
            lost=len(expected - set(stored)),
            doubled=len(stored) - len(set(stored)),
            out_of_order=any(numbers != sorted(numbers) for numbers in by_producer),
            left_in_redis=left,
        )

    def _new_name(self) -> str:
        self._names += 1
        return f"c{self._names}"

    def _happens(self, chance: float) -> bool:
        return self._dice.random() < chance

    async def _nap(self, longest_ms: float) -> None:
        await asyncio.sleep(self._dice.random() * longest_ms / 1000 if self._dice.random() < 0.6 else 0)


async def check_rooms(redis: AnyRedis, buffer: RoomBuffer, faults: Faults, seeds: range) -> list[Outcome]:
    """Let the rooms live at the same time, with one sweep for all."""
    rooms = {room.room_id: room for room in (ModelRoom(redis, buffer, faults, seed) for seed in seeds)}
    sweep = asyncio.create_task(_sweep(buffer, rooms)) if faults.sweep else None
    outcomes = await asyncio.gather(*(room.live() for room in rooms.values()))
    if sweep:
        sweep.cancel()
        await asyncio.gather(sweep, return_exceptions=True)
    await asyncio.gather(*(room.ended() for room in rooms.values()))
    return outcomes


async def _sweep(buffer: RoomBuffer, rooms: dict[str, ModelRoom]) -> None:
    while True:
        await asyncio.sleep(0.03)
        async for room_id in buffer.scan():
            if room := rooms.get(room_id):
                room.signal()
