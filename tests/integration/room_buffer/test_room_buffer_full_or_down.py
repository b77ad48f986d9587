import pytest
from afterturn_client.recording import record_entries
from afterturn_client.redis_connection import AnyRedis, open_redis
from redis.exceptions import RedisError

from services.domain.errors import TransientError
from services.embedded.redis_server import RedisServer
from services.room_buffer.buffer import Claim, Empty, RoomBuffer

ROOM = "user:42"
MAIL = b"user:ana@example.org:messages"
SECRET = b"my-secret-words"


def open_patiently(url: str) -> AnyRedis:
    """Take no busy machine for a Redis that is away."""
    return open_redis(url, answer_seconds=20)


async def fill(redis: AnyRedis) -> None:
    """Leave no memory for any write that needs some."""
    await redis.config_set("maxmemory", 1)
    with pytest.raises(RedisError):
        await redis.set("more", "x")


async def claim(buffer: RoomBuffer) -> Claim | object:
    return await buffer.claim(ROOM, quiet_ms=0, waited_ms=0, max_wait_ms=1, batch_size=50, name="n")


async def test_a_full_redis_refuses_a_recording_whole(own_redis: RedisServer) -> None:
    async with open_patiently(own_redis.url) as redis:
        await fill(redis)
        with pytest.raises(RedisError):
            await record_entries(redis, ROOM, [b"x" * 1_000_000] * 3)
        assert await redis.dbsize() == 0


async def test_a_full_redis_is_emptied_all_the_same(own_redis: RedisServer) -> None:
    async with open_patiently(own_redis.url) as redis:
        buffer = RoomBuffer(redis)
        await record_entries(redis, ROOM, [b"a", b"b"])
        await redis.rpush(MAIL, "c")
        await redis.rpush("{user:7:messages}:claim:lost", "d")
        await fill(redis)
        first = await claim(buffer)
        assert isinstance(first, Claim)
        await redis.config_set("maxmemory", 0)
        await record_entries(redis, ROOM, [b"c"])
        await fill(redis)
        second = await buffer.release(ROOM, first.name, "n")
        assert isinstance(second, Claim)
        assert await buffer.release(ROOM, second.name, "n") == Empty()
        assert [room_id async for room_id in buffer.scan()] == ["user:7"]
        assert await buffer.release("user:7", "lost", "n") == Empty()
        batch = await buffer.take_invalid(MAIL, name="q")
        assert batch is not None
        assert await buffer.drop_invalid(MAIL, batch)
        assert await redis.dbsize() == 0


async def test_a_redis_that_is_down_is_a_passing_trouble_that_shows_no_content(own_redis: RedisServer) -> None:
    async with open_patiently(own_redis.url) as redis:
        buffer = RoomBuffer(redis)
        await record_entries(redis, ROOM, [SECRET])
        await own_redis.kill()
        for call in (claim(buffer), buffer.read(ROOM, "n", 0, 1), buffer.release(ROOM, "n", "m"), buffer.peek(ROOM)):
            with pytest.raises(TransientError) as caught:
                await call
            assert SECRET.decode() not in f"{caught.value!r} {caught.value.__cause__}"
        with pytest.raises(TransientError):
            _ = [room_id async for room_id in buffer.scan()]


async def test_what_was_acknowledged_is_there_after_kill_9_and_the_client_goes_on(own_redis: RedisServer) -> None:
    async with open_patiently(own_redis.url) as redis:
        buffer = RoomBuffer(redis)
        acknowledged: list[bytes] = []
        for crash in range(3):
            for number in range(100):
                entry = f"{crash}:{number}".encode()
                await record_entries(redis, ROOM, [entry])
                acknowledged.append(entry)
            await own_redis.kill()
            with pytest.raises(RedisError):
                await record_entries(redis, ROOM, [b"never acknowledged"])
            await own_redis.start()
        taken = await claim(buffer)
        assert isinstance(taken, Claim)
        await own_redis.kill()
        await own_redis.start()
        assert await claim(buffer) == taken
        assert await buffer.read(ROOM, taken.name, 0, 1_000) == acknowledged


async def test_a_redis_that_hangs_is_not_waited_for(own_redis: RedisServer) -> None:
    async with open_redis(own_redis.url, answer_seconds=1) as redis, open_patiently(own_redis.url) as other:
        await redis.ping()
        # Beyond any wait of this machine; a Redis that is told to stop does so all the same.
        await other.client_pause(60_000)
        with pytest.raises(TransientError, match="TimeoutError"):
            await claim(RoomBuffer(redis))
