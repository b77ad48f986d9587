"""Measures the section store on this machine: `python -m tests.benchmarks.sections`.

Permanent values read one by one on a skewed load (Zipf), from Redis and straight from Postgres, in one run: every round
reads the same keys both ways, one after the other. Then what first sessions read when nothing of theirs is cached any
more, with and without what `warm` brings, and what that costs.
"""

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from random import Random
from uuid import UUID

from afterturn_client.redis_connection import open_redis
from pydantic import JsonValue
from rich.console import Console
from rich.table import Table

from services.domain.memories import Owner, owner_of
from services.domain.sections import Name, value_id
from services.embedded.postgres_server import PostgresServer
from services.embedded.redis_server import RedisServer
from services.postgres.database import Database, Tenant
from services.postgres.migrate import upgrade
from services.postgres.sections.values import records
from services.section_store.counts import hit_rate
from services.section_store.packing import unpack
from services.section_store.store import SectionStore
from services.settings import SectionSettings
from tests.support.servers import short_folder

COLUMNS = ("what", "p50 ms", "p95 ms", "p99 ms", "a second", "ratio of p50")
OWNERS = [owner_of("user", f"u{number}") for number in range(20)]
KEYS = [f"key{number}" for number in range(50)]
# Of those who come back: more than is warmed, read in as many sessions before.
GUESTS = [owner_of("user", f"guest{number}") for number in range(20)]
MANY_KEYS, VISITS = [f"key{number}" for number in range(300)], 4
ROUNDS, READS = 4, 1_200
SKEW = 1.1
VALUE: dict[str, JsonValue] = {"theme": "dark", "notes": "x" * 300}


@dataclass(frozen=True, slots=True)
class Servers:
    redis_url: str
    store: SectionStore
    database: Database


@dataclass(frozen=True, slots=True)
class Times:
    straight: list[float] = field(default_factory=list)
    hits: list[float] = field(default_factory=list)
    skewed: list[float] = field(default_factory=list)
    bare: list[float] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Visits:
    """How long the reads of sessions took and what warming did before them, and the share that Redis answered."""

    reads: list[float]
    warmings: list[float]
    rate: float


def skewed(chance: Random, count: int) -> list[tuple[Owner, str]]:
    """Choose values as Zipf has it: the second is read half as often as the first, the third a third, and so on."""
    values = [(owner, key) for owner in OWNERS for key in KEYS]
    Random(1).shuffle(values)
    weights = [1 / place**SKEW for place in range(1, len(values) + 1)]
    return chance.choices(values, weights, k=count)


async def rows() -> list[tuple[str, ...]]:
    with short_folder() as folder:
        async with (
            RedisServer(folder / "redis") as redis,
            PostgresServer(folder / "postgres", database="bench") as postgres,
        ):
            await upgrade(postgres.url)
            async with (
                open_redis(redis.url) as client,
                Database.open(postgres.url) as database,
                SectionStore.open(client, database, SectionSettings(_env_file=None)) as store,
            ):
                servers = Servers(redis.url, store, database)
                written = await _written(store)
                return [*await _reads(servers), written, *await _rates(servers)]


async def _written(store: SectionStore) -> tuple[str, ...]:
    seconds = []
    for owner in OWNERS:
        for key in KEYS[::5]:
            started = time.perf_counter()
            await store.set_user_preference(owner, key, VALUE)
            seconds.append(time.perf_counter() - started)
        await store.store_facts(owner, dict.fromkeys(KEYS, VALUE))
    return _row("a write, in Postgres before it is acknowledged", seconds, seconds)


async def _reads(servers: Servers) -> list[tuple[str, ...]]:
    chance, times = Random(2), Times()
    for owner, key in skewed(chance, READS):
        await servers.store.get_fact(owner, key)
    before = servers.store.counts.all.copy()
    async with open_redis(servers.redis_url) as redis:
        await redis.set("bare", b"x" * 400)
        for _ in range(ROUNDS):
            asked = skewed(chance, READS // ROUNDS)
            await _timed(times.skewed, asked, servers.store.get_fact)
            await _timed(times.hits, asked, servers.store.get_fact)
            await _timed(times.bare, asked, lambda _, __: redis.get("bare"))
            await _timed(times.straight, asked, lambda owner, key: _straight(servers.database, owner, key))
    after = servers.store.counts.all
    reads = READS * 2
    # Of the second reads of each round all were hits.
    rate = (after["hits"] - before["hits"] - READS) / (reads - READS)
    return [
        _row("straight from Postgres", times.straight, times.straight),
        _row("the store: values that Redis has", times.hits, times.straight),
        _row(f"the store: skewed load, {rate:.0%} from Redis", times.skewed, times.straight),
        _row("a bare GET from Redis", times.bare, times.straight),
    ]


async def _rates(servers: Servers) -> list[tuple[str, ...]]:
    """Let each guest come back, when nothing of theirs is cached any more; every second one is warmed."""
    for guest in GUESTS:
        for start in range(0, len(MANY_KEYS), 100):
            await servers.store.store_facts(guest, dict.fromkeys(MANY_KEYS[start : start + 100], VALUE))
    for visit in range(VISITS):
        await _sessions(servers.store, GUESTS, visit, warms=False)
    async with open_redis(servers.redis_url) as redis:
        for pattern in ("*:cached:*", "*:warmed:*"):
            for key in [key async for key in redis.scan_iter(match=f"section:{pattern}", count=1_000)]:
                await redis.delete(key)
    cold = await _sessions(servers.store, GUESTS[::2], VISITS, warms=False)
    warm = await _sessions(servers.store, GUESTS[1::2], VISITS, warms=True)
    return [
        _row(f"a session's first reads, {cold.rate:.0%} from Redis", cold.reads, cold.reads),
        _row(f"a warmed session's first reads, {warm.rate:.0%} from Redis", warm.reads, cold.reads),
        _row("to warm a session, behind its first turn", warm.warmings, cold.reads),
    ]


async def _sessions(store: SectionStore, owners: Sequence[Owner], visit: int, *, warms: bool) -> Visits:
    """Let each owner read a dozen values, the own usual ones mostly."""
    weights = [1 / place**SKEW for place in range(1, len(MANY_KEYS) + 1)]
    before, reads, warmings = store.counts.all.copy(), list[float](), list[float]()
    for owner in owners:
        usual = Random(str(owner)).sample(MANY_KEYS, len(MANY_KEYS))
        if warms:
            started = time.perf_counter()
            await store.warm(owner, "session")
            warmings.append(time.perf_counter() - started)
        asked = [(owner, key) for key in Random(f"{owner} {visit}").choices(usual, weights, k=12)]
        await _timed(reads, asked, store.get_fact)
    rate = hit_rate({name: count - before[name] for name, count in store.counts.all.items()}) or 0.0
    return Visits(reads, warmings, rate)


async def _straight(database: Database, owner: Owner, key: str) -> object:
    one: UUID = value_id(owner, Name("facts", key))
    async with database.transaction(Tenant.of(owner)) as session:
        return unpack((await records(session, [one]))[one].packed)


async def _timed(
    seconds: list[float], asked: Sequence[tuple[Owner, str]], call: Callable[[Owner, str], Awaitable[object]]
) -> None:
    for owner, key in asked:
        started = time.perf_counter()
        await call(owner, key)
        seconds.append(time.perf_counter() - started)


def _row(name: str, seconds: Sequence[float], against: Sequence[float]) -> tuple[str, ...]:
    ordered = sorted(seconds)
    p50, p95, p99 = (ordered[int(len(ordered) * share)] * 1000 for share in (0.5, 0.95, 0.99))
    ratio = statistics.median(ordered) / statistics.median(against)
    return name, f"{p50:.2f}", f"{p95:.2f}", f"{p99:.2f}", f"{len(ordered) / sum(ordered):.0f}", f"{ratio:.2f}"


def main() -> None:
    table = Table(*COLUMNS)
    for line in asyncio.run(rows()):
        table.add_row(*line)
    Console().print(table)


if __name__ == "__main__":
    main()
