"""What is recorded at the same time shares round trips, and each caller's own messages stand or fall alone."""

import asyncio

import pytest
from afterturn_client.appending import Appender
from afterturn_client.redis_connection import AnyRedis, open_redis
from afterturn_client.rooms import buffer_key
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError

from tests.integration.client.redis_wire import RedisWire
from tests.support.main_job import RECORD_SECONDS

ROOM = "user:42"


def appender(redis: AnyRedis, seconds: float = RECORD_SECONDS) -> Appender:
    return Appender(redis, batch_size=50, seconds=seconds)


async def test_a_hundred_at_once_share_round_trips_and_keep_their_order(redis_url: str) -> None:
    async with RedisWire.to(redis_url) as wire, open_redis(wire.url, answer_seconds=RECORD_SECONDS) as redis:
        appends = appender(redis)
        await appends.append(ROOM, [b"first"])
        before = wire.requests
        entries = [str(number).encode() for number in range(100)]
        answers = await asyncio.gather(*(appends.append(ROOM, [entry]) for entry in entries))
        assert wire.requests - before < 10
        assert [answer.length for answer in answers] == list(range(2, 102))
        assert [answer.wake for answer in answers].count(True) == 1
        assert await redis.lrange(buffer_key(ROOM), 1, -1) == entries


async def test_one_caller_alone_takes_one_round_trip_each_time(redis_url: str) -> None:
    async with RedisWire.to(redis_url) as wire, open_redis(wire.url, answer_seconds=RECORD_SECONDS) as redis:
        appends = appender(redis)
        await appends.append(ROOM, [b"first"])
        before = wire.requests
        for _ in range(10):
            await appends.append(ROOM, [b"a", b"b"])
        assert wire.requests - before == 10


async def test_a_room_that_cannot_be_written_harms_no_other_of_its_group(redis_url: str) -> None:
    async with open_redis(redis_url, answer_seconds=RECORD_SECONDS) as redis:
        await redis.set(buffer_key("user:wrong"), "no list")
        appends = appender(redis)
        rooms = ["user:1", "user:2", "user:wrong", "user:3", "user:wrong", "user:4"]
        answers = await asyncio.gather(*(appends.append(room, [b"a"]) for room in rooms), return_exceptions=True)
        failed = [room for room, answer in zip(rooms, answers, strict=True) if isinstance(answer, ResponseError)]
        assert failed == ["user:wrong", "user:wrong"]
        for room in set(rooms) - {"user:wrong"}:
            assert await redis.lrange(buffer_key(room), 0, -1) == [b"a"]


async def test_a_server_that_forgot_the_script_gets_it_again_for_a_whole_group(redis_url: str) -> None:
    async with open_redis(redis_url, answer_seconds=RECORD_SECONDS) as redis:
        appends = appender(redis)
        for _ in range(3):
            await redis.script_flush()
            await asyncio.gather(*(appends.append(ROOM, [str(number).encode()]) for number in range(30)))
        assert await redis.lrange(buffer_key(ROOM), 0, -1) == [str(number).encode() for number in range(30)] * 3


async def test_large_groups_are_sent_in_pieces(redis_url: str) -> None:
    async with open_redis(redis_url, answer_seconds=RECORD_SECONDS) as redis:
        appends = appender(redis)
        large = b"x" * 300_000
        await asyncio.gather(*(appends.append(ROOM, [large, large]) for _ in range(20)))
        many = [asyncio.create_task(appends.append("user:2", [b"a"])) for _ in range(2_000)]
        await asyncio.gather(*many)
        assert await redis.llen(buffer_key(ROOM)) == 40
        assert await redis.llen(buffer_key("user:2")) == 2_000


async def test_a_caller_that_gives_up_takes_nobody_along_and_what_was_not_sent_never_is(redis_url: str) -> None:
    async with open_redis(redis_url, answer_seconds=RECORD_SECONDS) as redis:
        appends = appender(redis)
        calls = [asyncio.create_task(appends.append(ROOM, [str(number).encode()])) for number in range(30)]
        await asyncio.sleep(0)  # the first is under way, the others wait
        given_up = [number for number in range(30) if number % 3 == 1]
        for number in given_up:
            calls[number].cancel()
        answers = await asyncio.gather(*calls, return_exceptions=True)
        assert [number for number in range(30) if isinstance(answers[number], asyncio.CancelledError)] == given_up
        kept = [str(number).encode() for number in range(30) if number not in given_up]
        assert await redis.lrange(buffer_key(ROOM), 0, -1) == kept


async def test_the_first_of_a_group_may_give_up_and_the_others_go_on(redis_url: str) -> None:
    async with open_redis(redis_url, answer_seconds=RECORD_SECONDS) as redis:
        appends = appender(redis)
        await appends.append(ROOM, [b"connected"])
        calls = [asyncio.create_task(appends.append("user:2", [str(number).encode()])) for number in range(10)]
        await asyncio.sleep(0)
        calls[0].cancel()
        assert len(await asyncio.gather(*calls[1:])) == 9
        stored = await redis.lrange(buffer_key("user:2"), 0, -1)
        assert [entry for entry in stored if entry != b"0"] == [str(number).encode() for number in range(1, 10)]


async def test_a_redis_that_hangs_fails_everybody_in_time_and_serves_them_later(redis_url: str) -> None:
    async with RedisWire.to(redis_url) as wire, open_redis(wire.url, answer_seconds=4.0) as redis:
        appends = appender(redis, seconds=4.0)
        await appends.append(ROOM, [b"first"])
        wire.loses_answers = True
        answers = await asyncio.gather(*(appends.append(ROOM, [b"a"]) for _ in range(20)), return_exceptions=True)
        assert all(isinstance(answer, Exception) for answer in answers)
        wire.loses_answers = False
        assert len(await asyncio.gather(*(appends.append("user:2", [b"b"]) for _ in range(20)))) == 20
        assert await redis.llen(buffer_key("user:2")) == 20


@pytest.mark.parametrize(("cuts_after", "stored"), [(False, 1), (True, 2)])
async def test_a_connection_that_is_cut_is_tried_once_more(redis_url: str, cuts_after: bool, stored: int) -> None:  # noqa: FBT001
    async with (
        RedisWire.to(redis_url) as wire,
        open_redis(wire.url, answer_seconds=RECORD_SECONDS) as redis,
        open_redis(redis_url, answer_seconds=RECORD_SECONDS) as observer,
    ):
        appends = appender(redis)
        await appends.append("user:1", [b"connected"])
        wire.cuts, wire.cuts_after = 1, cuts_after
        await appends.append(ROOM, [b"a"])
        async with asyncio.timeout(20):
            while await observer.lrange(buffer_key(ROOM), 0, -1) != [b"a"] * stored:
                await asyncio.sleep(0.01)
        wire.cuts = 2
        with pytest.raises(RedisConnectionError):
            await appends.append(ROOM, [b"b"])


async def test_closing_waits_for_what_is_under_way(redis_url: str) -> None:
    async with open_redis(redis_url, answer_seconds=RECORD_SECONDS) as redis:
        appends = appender(redis)
        calls = [asyncio.create_task(appends.append(ROOM, [b"a"])) for _ in range(300)]
        await asyncio.sleep(0)
        await calls[0]
        await appends.aclose()
        assert await redis.llen(buffer_key(ROOM)) == 300
        await asyncio.gather(*calls)
