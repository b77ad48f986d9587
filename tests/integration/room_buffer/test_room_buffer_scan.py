from afterturn_client.recording import record_entries
from afterturn_client.redis_connection import AnyRedis
from afterturn_client.rooms import claim_key, pointer_key, wake_key

from services.room_buffer.buffer import Claim, Empty, Peek, RoomBuffer
from services.room_buffer.invalid import InvalidBatch, InvalidKey

MAIL = b"user:ana@example.org:messages"


async def found(buffer: RoomBuffer) -> list[str]:
    return sorted([room_id async for room_id in buffer.scan()])


async def found_invalid(buffer: RoomBuffer) -> list[InvalidKey]:
    return sorted([key async for key in buffer.scan_invalid()], key=lambda key: key.key)


async def taken(buffer: RoomBuffer, *, most: int = 100) -> InvalidBatch:
    batch = await buffer.take_invalid(MAIL, name="q", most=most)
    assert batch is not None
    return batch


async def test_each_room_with_a_buffer_a_claim_or_a_pointer_is_found_once(redis: AnyRedis, buffer: RoomBuffer) -> None:
    for room_id in ("user:1", "user:2", "room:a:messages", "room:both"):
        await record_entries(redis, room_id, [b"a"])
    for room_id in ("user:2", "room:both"):
        await buffer.claim(room_id, quiet_ms=0, waited_ms=0, max_wait_ms=1, batch_size=1, name="n")
    await record_entries(redis, "room:both", [b"b"])
    await redis.set(pointer_key("user:3"), "gone")
    await redis.set(wake_key("user:4"), "1")
    await redis.rpush("other:messages", "a")
    await redis.rpush(MAIL, "a")
    await redis.set("user:5:messages", "text")
    assert await found(buffer) == ["room:a:messages", "room:both", "user:1", "user:2", "user:3"]


async def test_thousands_of_rooms_are_found(redis: AnyRedis, buffer: RoomBuffer) -> None:
    rooms = [f"room:{number}" for number in range(3_000)]
    async with redis.pipeline(transaction=False) as pipeline:
        for room_id in rooms:
            pipeline.rpush(f"{room_id}:messages", "a")
        await pipeline.execute()
    assert await found(buffer) == sorted(rooms)


async def test_a_claim_that_no_pointer_names_is_taken_up_again(redis: AnyRedis, buffer: RoomBuffer) -> None:
    await redis.rpush(claim_key("user:1", "c1"), "a", "b")
    assert await found(buffer) == ["user:1"]
    assert await buffer.peek("user:1") == Peek(length=0, claim="c1", claimed=2)
    assert await buffer.release("user:1", "c1", "n") == Empty()
    assert await redis.dbsize() == 0


async def test_a_claim_waits_for_the_one_that_stands(redis: AnyRedis, buffer: RoomBuffer) -> None:
    await record_entries(redis, "user:1", [b"a"])
    standing = await buffer.claim("user:1", quiet_ms=0, waited_ms=0, max_wait_ms=1, batch_size=1, name="n")
    await redis.rpush(claim_key("user:1", "c1"), "old")
    assert await found(buffer) == ["user:1"]
    assert isinstance(standing, Claim)
    assert (await buffer.peek("user:1")).claim == standing.name


async def test_keys_named_like_a_buffer_that_are_none_are_reported_with_their_kind(
    redis: AnyRedis, buffer: RoomBuffer
) -> None:
    long = b"room:" + b"x" * 196 + b":messages"
    for key in (MAIL, b"user:{a}:messages", b"user::messages", b"user:\xff\x00:messages", long):
        await redis.rpush(key, "a")
    await redis.set("user:1:messages", "text")
    await redis.hset("user:a b:messages", "a", "b")
    await redis.rpush("user:2:messages", "fine")
    await redis.rpush("user:messages", "another application's")
    await redis.rpush("team:a@b:messages", "another application's")
    assert await found_invalid(buffer) == [
        InvalidKey(long, "list"),
        InvalidKey(b"user:1:messages", "string"),
        InvalidKey(b"user::messages", "list"),
        InvalidKey(b"user:a b:messages", "hash"),
        InvalidKey(MAIL, "list"),
        InvalidKey(b"user:{a}:messages", "list"),
        InvalidKey(b"user:\xff\x00:messages", "list"),
    ]
    assert await found(buffer) == ["user:2"]


def test_the_name_of_an_invalid_key_is_text_that_postgres_can_hold() -> None:
    assert InvalidKey(b"user:\xff\x00\xc3\xa9:messages", "list").name == "user:\\xff\\x00é:messages"


async def test_an_invalid_buffer_is_dropped_until_its_key_is_gone(redis: AnyRedis, buffer: RoomBuffer) -> None:
    await redis.rpush(MAIL, "a", "b", "c")
    first = await taken(buffer, most=2)
    assert first.entries == (b"a", b"b")
    assert await buffer.drop_invalid(MAIL, first)
    second = await taken(buffer, most=2)
    assert second.entries == (b"c",)
    assert second.name != first.name
    assert await buffer.drop_invalid(MAIL, second)
    assert await buffer.take_invalid(MAIL, name="q") is None
    assert await redis.dbsize() == 0


async def test_who_takes_again_gets_the_same_whatever_was_appended(redis: AnyRedis, buffer: RoomBuffer) -> None:
    await redis.rpush(MAIL, "a")
    first = await taken(buffer)
    await redis.rpush(MAIL, "b")
    assert await taken(buffer) == first
    assert await buffer.drop_invalid(MAIL, first)
    assert (await taken(buffer)).entries == (b"b",)


async def test_a_late_drop_deletes_nothing_even_where_the_next_entries_are_equal(
    redis: AnyRedis, buffer: RoomBuffer
) -> None:
    await redis.rpush(MAIL, "a", "a")
    first = await taken(buffer, most=1)
    assert await buffer.drop_invalid(MAIL, first)
    assert not await buffer.drop_invalid(MAIL, first)
    second = await taken(buffer, most=1)
    assert not await buffer.drop_invalid(MAIL, first)
    assert await taken(buffer, most=1) == second


async def test_an_invalid_list_that_was_shortened_is_dropped(redis: AnyRedis, buffer: RoomBuffer) -> None:
    await redis.rpush(MAIL, "a", "b")
    await taken(buffer)
    await redis.rpop(MAIL)
    assert await buffer.drop_invalid(MAIL, await taken(buffer))
    assert await redis.dbsize() == 0
