"""Promise 2 for permanent values: none acknowledged is lost, none older is served after a newer one was acknowledged.

Several processes read and write a few values at random, while Redis is flushed, killed, cut off or held up, Postgres is
killed and processes are stopped for a while; and while what is stored uncompressed is compressed. A checker looks for
what no register could have answered.
"""

import asyncio
import json
import os
import random
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest
from afterturn_client.redis_connection import open_redis

from services.domain.sections import Name, value_id
from services.embedded.postgres_server import PostgresServer
from services.embedded.redis_server import RedisServer
from services.postgres.database import Database, Tenant
from services.postgres.migrate import upgrade
from services.postgres.sections.values import records
from services.section_store.packing import unpack
from tests.support.section_history import Did, faults
from tests.support.section_process import KEYS, OWNERS, tag_of
from tests.support.servers import FAST_POSTGRES, short_folder, stopped
from tests.support.slow_link import SlowLink

SEED = int(os.environ.get("SECTIONS_SEED", "8"))
ROUNDS = int(os.environ.get("SECTIONS_ROUNDS", "8"))


@dataclass
class World:
    redis: RedisServer
    postgres: PostgresServer
    link: SlowLink
    processes: list[Process]


async def flush(world: World, _: random.Random) -> None:
    async with open_redis(world.redis.url, answer_seconds=20) as redis:
        await redis.flushall()


async def kill_redis(world: World, chance: random.Random) -> None:
    await world.redis.kill()
    await asyncio.sleep(chance.random())
    await world.redis.start()


async def kill_postgres(world: World, chance: random.Random) -> None:
    await world.postgres.kill()
    await asyncio.sleep(chance.random() / 2)
    await world.postgres.start()


async def cut_one_off(world: World, chance: random.Random) -> None:
    world.link.cut()
    await asyncio.sleep(0.5 + chance.random())
    world.link.mend()


async def hold_one_up(world: World, chance: random.Random) -> None:
    world.link.hold_up()
    await asyncio.sleep(0.6 + chance.random())
    world.link.mend()


async def stop_one(world: World, chance: random.Random) -> None:
    process = chance.choice(world.processes)
    with stopped([process.pid]):
        await asyncio.sleep(0.2 + chance.random())


TROUBLES: list[Callable[[World, random.Random], Awaitable[None]]] = [
    flush,
    kill_redis,
    cut_one_off,
    hold_one_up,
    stop_one,
    flush,
    kill_postgres,
]


@asynccontextmanager
async def world() -> AsyncIterator[World]:
    with short_folder() as folder:
        async with (
            RedisServer(folder / "redis") as redis,
            PostgresServer(folder / "postgres", database="sections", settings=FAST_POSTGRES) as postgres,
            SlowLink(redis.port) as link,
        ):
            await upgrade(postgres.url)
            processes = [
                await asyncio.create_subprocess_exec(
                    sys.executable,
                    "-m",
                    "tests.support.section_process",
                    link.url if number == 2 else redis.url,
                    postgres.url,
                    str(SEED),
                    str(number),
                    stdin=PIPE,
                    stdout=PIPE,
                    limit=2**26,
                )
                for number in range(3)
            ]
            try:
                yield World(redis, postgres, link, processes)
            finally:
                for process in processes:
                    if process.returncode is None:
                        process.kill()
                    await process.wait()


@pytest.mark.chaos
@pytest.mark.slow
@pytest.mark.timeout(400)
async def test_no_process_sees_less_than_was_acknowledged() -> None:
    print(f"SECTIONS_SEED={SEED}")  # noqa: T201
    chance = random.Random(SEED)
    async with world() as around:
        for process in around.processes:
            assert process.stdout is not None
            assert await process.stdout.readline() == b"working\n"
        for number in range(ROUNDS):
            await asyncio.sleep(0.8 + chance.random())
            await TROUBLES[number % len(TROUBLES) if number < len(TROUBLES) else chance.randrange(len(TROUBLES))](
                around, chance
            )
        await asyncio.sleep(1.5)
        outputs = [(await process.communicate(b""))[0] for process in around.processes]
        history = [Did(**json.loads(line)) for output in outputs for line in output.splitlines()[1:]]
        history += [await standing(around.postgres.url, number) for number in range(len(OWNERS) * len(KEYS))]
    counts = [json.loads(output.splitlines()[0]) for output in outputs]
    hits, packed = (sum(each[name] for each in counts) for name in ("hits", "packed"))
    acknowledged = sum(did.kind == "write" and did.acknowledged for did in history)
    print(f"{len(history)} calls, {hits} from Redis, {acknowledged} writes, {packed} packed")  # noqa: T201
    assert hits > 50
    assert packed > 0
    assert acknowledged > 100
    assert list(faults(history)) == [], f"SECTIONS_SEED={SEED}"


async def standing(database_url: str, number: int) -> Did:
    """Read a value from Postgres, as the last of all reads."""
    owner, key = OWNERS[number // len(KEYS)], KEYS[number % len(KEYS)]
    one = value_id(owner, Name("user_preferences", key))
    async with Database.open(database_url) as database, database.transaction(Tenant.of(owner)) as session:
        record = (await records(session, [one])).get(one)
    last = float("inf")
    tag = tag_of(unpack(record.packed)) if record else ""
    return Did("read", f"{owner} {key}", last, last, tag=tag, version=record.version if record else 0)
