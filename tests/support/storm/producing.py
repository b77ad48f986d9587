"""Producers: some with ids, who try again until they are acknowledged; some who only push; some over the API."""

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from afterturn_client.errors import RecordingFailedError
from afterturn_client.memory_client import MemoryClient
from afterturn_client.messages import encode_entry
from afterturn_client.redis_connection import REDIS_ERRORS, AnyRedis, open_redis
from afterturn_client.rooms import buffer_key

from services.embedded.addresses import StackAddresses
from tests.support.storm.plan import Plan
from tests.support.storm.talk import Ledger, Producer, Said, producers

# Of what has ids, so much is recorded again: half of all messages have ids.
REPEATED_SHARE = 0.1
# Now and then somebody gives up after one try, and never learns what became of it.
GIVES_UP_SHARE = 0.05
TRY_AGAIN_SECONDS = 0.3
ANSWER_SECONDS = 2.0


@dataclass(frozen=True)
class Ways:
    """How producers reach the buffer: our client, a bare connection to Redis, our client over the API."""

    client: MemoryClient
    redis: AnyRedis
    api: MemoryClient


@asynccontextmanager
async def open_ways(addresses: StackAddresses) -> AsyncIterator[Ways]:
    redis = open_redis(addresses.redis_url, answer_seconds=ANSWER_SECONDS)
    async with (
        MemoryClient.connect(addresses.redis_url, addresses.temporal_address, close_grace_seconds=0.5) as client,
        MemoryClient.connect(api_url=addresses.api_url) as api,
    ):
        try:
            yield Ways(client, redis, api)
        finally:
            await redis.aclose()


async def produce(plan: Plan, ledger: Ledger, ways: Ways) -> None:
    """Say everything that the plan asks for; after an outage what is behind is said at once."""
    everybody = producers(plan.rooms)
    turns = -(-plan.messages // (2 * len(everybody)))
    async with asyncio.TaskGroup() as tasks:
        for number, producer in enumerate(everybody):
            chance = random.Random(f"{plan.seed} {number}")
            tasks.create_task(_talk(producer, turns, plan.seconds, ledger, ways, chance))


async def _talk(
    producer: Producer, turns: int, seconds: float, ledger: Ledger, ways: Ways, chance: random.Random
) -> None:
    loop = asyncio.get_running_loop()
    began = loop.time()
    earlier: list[list[Said]] = []
    for moment in sorted(chance.uniform(0, seconds) for _ in range(turns)):
        await asyncio.sleep(max(0.0, began + moment - loop.time()))
        turn = ledger.turn(producer, chance)
        if producer.way == "raw":
            await _push(turn, ways.redis)
            continue
        await _record(turn, ways, producer, gives_up=chance.random() < GIVES_UP_SHARE)
        if turn[0].acknowledged:
            earlier.append(turn)
        if earlier and chance.random() < REPEATED_SHARE:
            ledger.repeats += len(turn)
            # Whatever becomes of it: it was acknowledged before.
            await _try(chance.choice(earlier), chance.choice((ways.client, ways.api)))


async def _push(turn: Sequence[Said], redis: AnyRedis) -> None:
    """Push without ids. Whoever does so cannot try again: what was not acknowledged may be there all the same."""
    entries = [encode_entry(one.message) for one in turn]
    try:
        await redis.rpush(buffer_key(turn[0].room), *entries)
    except REDIS_ERRORS:
        return
    _acknowledge(turn)


async def _record(turn: Sequence[Said], ways: Ways, producer: Producer, *, gives_up: bool) -> None:
    memory = ways.api if producer.way == "api" else ways.client
    while not await _try(turn, memory):
        if gives_up:
            return
        await asyncio.sleep(TRY_AGAIN_SECONDS)
    _acknowledge(turn)


async def _try(turn: Sequence[Said], memory: MemoryClient) -> bool:
    try:
        await memory.record(turn[0].room, [one.message for one in turn])
    except RecordingFailedError:
        return False
    return True


def _acknowledge(turn: Sequence[Said]) -> None:
    for one in turn:
        one.acknowledged = True
