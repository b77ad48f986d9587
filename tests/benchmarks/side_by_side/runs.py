"""The runs that both sides go through: a backlog, a steady load, and a load under which workers are killed."""

import asyncio
import random
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from tests.benchmarks.side_by_side.arms import Arm, Outcome
from tests.benchmarks.side_by_side.process_costs import Costs
from tests.benchmarks.side_by_side.servers import Stage
from tests.benchmarks.side_by_side.stub_model import Asked
from tests.benchmarks.side_by_side.talk import Turn, room_of

LOOK_SECONDS = 0.25
PAUSE_SECONDS = 0.4
AT_ONCE = 32
_WARM_ROOMS = 16


@dataclass(frozen=True, slots=True)
class Spent:
    """What a number of turns cost, each figure for a thousand of them but `mebibytes`, the most at any moment."""

    cpu_seconds: float
    store_cpu_seconds: float
    model_calls: float
    tokens: float
    actions: float
    mebibytes: float


@dataclass(frozen=True, slots=True)
class Drained:
    turns_a_second: float
    spent: Spent


@dataclass(frozen=True, slots=True)
class Loaded:
    """Seconds from turn to digest, in their order; `missing` turns were not digested in time."""

    seconds: list[float]
    missing: int
    spent: Spent

    def share(self, part: float) -> float:
        return self.seconds[min(len(self.seconds) - 1, int(len(self.seconds) * part))] if self.seconds else float("nan")


@dataclass(frozen=True, slots=True)
class Snapshot:
    turns: int
    cpu_seconds: float
    store_cpu_seconds: float
    asked: Asked
    actions: float


class Meter:
    """Watches an arm's processes and the stores; its snapshots are compared with each other."""

    def __init__(self, stage: Stage, arm: Arm, rooms: str) -> None:
        self._stage = stage
        self._arm = arm
        self._rooms = rooms
        self.own, self.stores = Costs(), Costs()

    @asynccontextmanager
    async def watching(self) -> AsyncIterator[None]:
        watches = [
            asyncio.create_task(self.own.watch(lambda: self._arm.roots)),
            asyncio.create_task(self.stores.watch(lambda: self._stage.stores)),
        ]
        try:
            yield
        finally:
            for watch in watches:
                watch.cancel()
            with suppress(asyncio.CancelledError):
                await asyncio.gather(*watches)

    async def snapshot(self, turns: int | None = None) -> Snapshot:
        self.own.look(self._arm.roots)
        self.stores.look(self._stage.stores)
        return Snapshot(
            await self._arm.count(self._rooms) if turns is None else turns,
            self.own.cpu_seconds,
            self.stores.cpu_seconds,
            await self._stage.model.asked(),
            await self._stage.actions(),
        )

    def spent(self, before: Snapshot, after: Snapshot, turns: int) -> Spent:
        thousands = max(1, turns) / 1000
        asked = after.asked.since(before.asked)
        return Spent(
            (after.cpu_seconds - before.cpu_seconds) / thousands,
            (after.store_cpu_seconds - before.store_cpu_seconds) / thousands,
            asked.calls / thousands,
            asked.tokens / thousands,
            (after.actions - before.actions) / thousands,
            self.own.most_mebibytes,
        )


async def backlog(stage: Stage, arm: Arm, name: str, *, rooms: int, each: int, seconds: float = 300) -> Drained:
    """Record bursts while the worker is stopped by a signal, then let it work them off.

    It is warm by then: what a worker's start and its first burst cost does not count.
    """
    turns = [Turn(room_of(name, room), number) for number in range(each) for room in range(rooms)]
    meter, prefix = Meter(stage, arm, f"user:{name}-"), f"user:{name}-"
    async with arm.working(), meter.watching():
        await warm(arm, f"{name}w", seconds)
        arm.signal_workers(signal.SIGSTOP)
        first = await meter.snapshot(0)
        await _record(arm, turns)
        began = time.time()
        arm.signal_workers(signal.SIGCONT)
        await _until(arm, prefix, len(turns), seconds)
        last = await meter.snapshot()
    digested = await arm.digested(prefix)
    return Drained(len(digested) / (max(digested.values()) - began), meter.spent(first, last, len(digested)))


async def sustained(
    stage: Stage, arm: Arm, name: str, *, rate: float, burst: int, first: float, seconds: float
) -> Drained:
    """Record so many turns a second, in bursts of a room each, and count what is digested in `seconds` from `first` on.

    Whatever a side is slower than that piles up.
    """
    turns = _bursts(name, int(rate * (first + seconds)), burst, rate)
    meter, prefix = Meter(stage, arm, f"user:{name}-"), f"user:{name}-"
    async with arm.working(), meter.watching():
        await warm(arm, f"{name}w", 300)
        began = time.time() + first
        recording = asyncio.create_task(_pace(arm, turns, rate))
        await asyncio.sleep(first)
        before = await meter.snapshot()
        await recording
        await asyncio.sleep(max(0.0, began + seconds - time.time()))
        after = await meter.snapshot()
    await arm.drop_backlog()
    within = [at for at in (await arm.digested(prefix)).values() if began <= at < began + seconds]
    return Drained(len(within) / seconds, meter.spent(before, after, after.turns - before.turns))


async def warm(arm: Arm, name: str, seconds: float = 60) -> None:
    """Let every process of a worker do something: what it imports late, it has imported then."""
    turns = [Turn(room_of(name, room), number) for number in range(2) for room in range(_WARM_ROOMS)]
    await _record(arm, turns)
    await _until(arm, f"user:{name}-", len(turns), seconds)


async def load(
    stage: Stage, arm: Arm, name: str, *, rate: float, seconds: float, burst: int, patience: float = 60
) -> Loaded:
    """Record so many turns a second, in bursts of a room each, while a worker runs; then wait for their digests."""
    turns = _bursts(name, int(rate * seconds), burst, rate)
    meter, prefix = Meter(stage, arm, f"user:{name}-"), f"user:{name}-"
    async with meter.watching():
        first = await meter.snapshot(0)
        recorded = await _pace(arm, turns, rate)
        await _until(arm, prefix, len(turns), patience)
        last = await meter.snapshot()
    digested = await arm.digested(prefix)
    waited = sorted(digested[turn] - at for turn, at in recorded.items() if turn in digested)
    return Loaded(waited, len(turns) - len(waited), meter.spent(first, last, len(turns)))


async def deadly_load(
    stage: Stage, arm: Arm, name: str, *, rate: float, seconds: float, every: float, patience: float
) -> Outcome:
    """Record turns while the worker is killed again and again; count what is missing or double when all is quiet."""
    turns, chance = _bursts(name, int(rate * seconds), 4, rate), random.Random(11)
    recording = asyncio.create_task(_pace(arm, turns, rate))
    while not recording.done():
        await asyncio.wait([recording], timeout=chance.uniform(0.7 * every, 1.3 * every))
        await arm.kill_worker()
        await arm.start_worker()
    await recording
    await _until(arm, f"user:{name}-", len(turns), patience)
    return await arm.outcome(f"user:{name}-", len(turns))


def _bursts(name: str, count: int, burst: int, rate: float) -> list[Turn]:
    """Let several rooms talk at once, `burst` turns each with `PAUSE_SECONDS` between them, then others."""
    at_once, turns = max(1, round(rate * PAUSE_SECONDS)), []
    for place in range(count):
        block, within = divmod(place, at_once * burst)
        turns.append(Turn(room_of(name, block * at_once + within % at_once), within // at_once))
    return turns


async def _pace(arm: Arm, turns: list[Turn], rate: float) -> dict[str, float]:
    """Record turns at their times, however long each takes; give when each was recorded."""
    recorded: dict[str, float] = {}
    began, tasks = time.monotonic(), []

    async def one(turn: Turn) -> None:
        recorded[turn.id] = time.time()
        await arm.record(turn)

    for place, turn in enumerate(turns):
        await asyncio.sleep(max(0.0, began + place / rate - time.monotonic()))
        tasks.append(asyncio.create_task(one(turn)))
    await asyncio.gather(*tasks)
    return recorded


async def _record(arm: Arm, turns: list[Turn]) -> None:
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(turn: Turn) -> None:
        async with gate:
            await arm.record(turn)

    await asyncio.gather(*(one(turn) for turn in turns))


async def _until(arm: Arm, rooms: str, turns: int, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while await arm.count(rooms) < turns and time.monotonic() < deadline:
        await asyncio.sleep(LOOK_SECONDS)
