import asyncio
import time

import pytest
from afterturn_client.errors import InvalidFieldError
from afterturn_client.recording import Appended, record_entries
from afterturn_client.redis_connection import AnyRedis, open_redis
from afterturn_client.rooms import buffer_key, wake_key

from tests.integration.client.redis_wire import RedisWire
from tests.support.main_job import RECORD_SECONDS

ROOM = "user:42"


async def test_the_first_of_a_burst_wakes_the_room_and_filling_a_batch_does_again(redis_url: str) -> None:
    async with open_redis(redis_url, answer_seconds=RECORD_SECONDS) as redis:
        answers = [await record_entries(redis, ROOM, [b"a"], batch_size=4) for _ in range(6)]
    assert [answer.wake for answer in answers] == [True, False, False, True, False, False]
    assert answers[-1].length == 6


async def test_a_batch_that_is_crossed_in_one_step_wakes_too(redis_url: str) -> None:
    async with open_redis(redis_url, answer_seconds=RECORD_SECONDS) as redis:
        await record_entries(redis, ROOM, [b"a"], batch_size=4)
        assert await record_entries(redis, ROOM, [b"a"] * 9, batch_size=4) == Appended(length=10, wake=True)


async def test_the_mark_holds_the_last_append_and_lives_from_the_first(redis_url: str) -> None:
    async with open_redis(redis_url, answer_seconds=RECORD_SECONDS) as redis:
        await record_entries(redis, ROOM, [b"a"], wake_ttl_ms=60_000)
        await asyncio.sleep(0.2)
        before = time.time()
        await record_entries(redis, ROOM, [b"b"], wake_ttl_ms=60_000)
        last = int(await redis.get(wake_key(ROOM)) or 0)
        # Redis counts whole milliseconds.
        assert before * 1000 - 1 <= last <= time.time() * 1000
        assert await redis.pttl(wake_key(ROOM)) <= 59_800


async def test_a_wake_up_that_never_arrived_is_asked_for_again(redis_url: str) -> None:
    async with open_redis(redis_url, answer_seconds=RECORD_SECONDS) as redis:
        assert (await record_entries(redis, ROOM, [b"a"], wake_ttl_ms=50)).wake
        await asyncio.sleep(0.08)
        assert (await record_entries(redis, ROOM, [b"b"], wake_ttl_ms=50)).wake


async def test_thousands_of_entries_are_appended_in_their_order(redis_url: str) -> None:
    entries = [str(number).encode() for number in range(10_001)]
    async with open_redis(redis_url, answer_seconds=RECORD_SECONDS) as redis:
        assert await record_entries(redis, ROOM, entries) == Appended(length=10_001, wake=True)
        assert await redis.lrange(buffer_key(ROOM), 0, -1) == entries


async def test_recording_is_one_round_trip(redis_url: str) -> None:
    async with RedisWire.to(redis_url) as wire, open_redis(wire.url, answer_seconds=RECORD_SECONDS) as redis:
        await record_entries(redis, ROOM, [b"a"])
        before = wire.requests
        for _ in range(10):
            await record_entries(redis, ROOM, [b"b", b"c"])
        assert wire.requests - before == 10


async def test_a_server_that_forgot_the_script_gets_it_again(redis_url: str) -> None:
    async with open_redis(redis_url, answer_seconds=RECORD_SECONDS) as redis:
        await record_entries(redis, ROOM, [b"a"])
        await redis.script_flush()
        assert (await record_entries(redis, ROOM, [b"b"])).length == 2


async def test_nothing_to_record_is_refused(redis_url: str) -> None:
    async with open_redis(redis_url, answer_seconds=RECORD_SECONDS) as redis:
        with pytest.raises(InvalidFieldError, match="entries"):
            await record_entries(redis, ROOM, [])


async def test_a_cancelled_task_stays_cancelled(redis_url: str) -> None:
    """Cancelled at any moment of a command, a task ends; redis-py's own time limit loses one in hundreds."""

    async def busy(redis: AnyRedis) -> None:
        while True:
            await redis.get("a")

    async with open_redis(redis_url, answer_seconds=RECORD_SECONDS) as redis:
        for number in range(1_500):
            task = asyncio.create_task(busy(redis))
            await asyncio.sleep((number % 20) / 20_000)
            task.cancel()
            done, _ = await asyncio.wait([task], timeout=30)
            assert done
        assert await redis.ping()
