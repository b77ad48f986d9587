import json

import pytest
from afterturn_client.errors import InvalidFieldError
from afterturn_client.recording import record_entries
from afterturn_client.redis_connection import AnyRedis
from afterturn_client.rooms import buffer_key, claim_key, pointer_key, wake_key

from services.domain.errors import PermanentError
from services.room_buffer.buffer import PAGE_BYTES, Claim, Empty, Peek, RoomBuffer, Wait

ROOM = "user:42"


async def claim(
    buffer: RoomBuffer, *, quiet_ms: int = 0, waited_ms: int = 0, batch_size: int = 50
) -> Claim | Wait | Empty:
    return await buffer.claim(
        ROOM, quiet_ms=quiet_ms, waited_ms=waited_ms, max_wait_ms=60_000, batch_size=batch_size, name="n"
    )


async def claimed(buffer: RoomBuffer) -> Claim:
    taken = await claim(buffer)
    assert isinstance(taken, Claim)
    return taken


async def record(redis: AnyRedis, *entries: bytes) -> None:
    await record_entries(redis, ROOM, entries)


async def test_an_empty_room_is_empty_and_the_next_append_wakes_it(redis: AnyRedis, buffer: RoomBuffer) -> None:
    await redis.set(wake_key(ROOM), "1")
    assert await claim(buffer) == Empty()
    assert (await record_entries(redis, ROOM, [b"a"])).wake


async def test_a_claim_owns_exactly_what_was_buffered(redis: AnyRedis, buffer: RoomBuffer) -> None:
    await record(redis, b"a", b"b")
    taken = await claimed(buffer)
    await record(redis, b"c")
    assert taken.count == 2
    assert await buffer.read(ROOM, taken.name, 0, 10) == [b"a", b"b"]
    assert await buffer.buffered(ROOM) == [b"a", b"b", b"c"]
    assert await buffer.peek(ROOM) == Peek(length=1, claim=taken.name, claimed=2)


async def test_a_claim_that_stands_is_answered_again(redis: AnyRedis, buffer: RoomBuffer) -> None:
    await record(redis, b"a")
    first = await claimed(buffer)
    await record(redis, b"b")
    assert await claim(buffer) == first


async def test_a_claim_is_read_in_pages(redis: AnyRedis, buffer: RoomBuffer) -> None:
    entries = [str(number).encode() for number in range(7)]
    await record(redis, *entries)
    name = (await claimed(buffer)).name
    pages = [await buffer.read(ROOM, name, start, 3) for start in (0, 3, 6, 9)]
    assert pages == [entries[:3], entries[3:6], entries[6:], []]


@pytest.mark.parametrize(
    ("size", "places"), [(1, [0, 3, 6]), (PAGE_BYTES // 2, [0, 2, 4, 6]), (PAGE_BYTES // 3, [0, 3, 6])]
)
async def test_pages_give_a_claim_whole_whatever_its_size(
    redis: AnyRedis, buffer: RoomBuffer, size: int, places: list[int]
) -> None:
    entries = [str(number).encode() * size for number in range(7)]
    await redis.rpush(buffer_key(ROOM), *entries)
    name = (await claimed(buffer)).name
    pages = [page async for page in buffer.pages(ROOM, name, 3)]
    assert [place for place, _ in pages] == places
    assert [entry for _, page in pages for entry in page] == entries
    assert [page async for page in buffer.pages(ROOM, "gone", 3)] == []


async def test_a_room_that_talks_is_left_until_it_is_quiet(redis: AnyRedis, buffer: RoomBuffer) -> None:
    await record(redis, b"a")
    answer = await claim(buffer, quiet_ms=50_000)
    assert isinstance(answer, Wait)
    assert 20_000 < answer.ms <= 50_000
    assert await redis.exists(wake_key(ROOM))


async def test_a_full_room_is_taken_at_once(redis: AnyRedis, buffer: RoomBuffer) -> None:
    await record(redis, *[b"a"] * 3)
    assert isinstance(await claim(buffer, quiet_ms=5_000, batch_size=3), Claim)


async def test_a_room_that_has_waited_long_enough_is_taken(redis: AnyRedis, buffer: RoomBuffer) -> None:
    await record(redis, b"a")
    assert await claim(buffer, quiet_ms=50_000, waited_ms=59_900) == Wait(100)
    assert isinstance(await claim(buffer, quiet_ms=50_000, waited_ms=60_000), Claim)


async def test_a_raw_producer_counts_as_quiet(redis: AnyRedis, buffer: RoomBuffer) -> None:
    await redis.rpush(buffer_key(ROOM), json.dumps({"role": "user", "content": "hello"}))
    assert isinstance(await claim(buffer, quiet_ms=5_000), Claim)


@pytest.mark.parametrize("mark", ["", "nonsense", "99999999999999"])
async def test_no_mark_can_hold_a_room_back_for_longer_than_the_quiet_time(
    redis: AnyRedis, buffer: RoomBuffer, mark: str
) -> None:
    await record(redis, b"a")
    await redis.set(wake_key(ROOM), mark)
    answer = await claim(buffer, quiet_ms=5_000)
    assert isinstance(answer, Claim) or answer == Wait(5_000)


async def test_release_answers_the_next_claim_and_in_the_end_empty(redis: AnyRedis, buffer: RoomBuffer) -> None:
    await record(redis, b"a")
    first = await claimed(buffer)
    await record(redis, b"b", b"c")
    second = await buffer.release(ROOM, first.name, "n")
    assert isinstance(second, Claim)
    assert second.count == 2
    assert second.name != first.name
    assert await buffer.release(ROOM, second.name, "n") == Empty()
    assert await redis.dbsize() == 0


async def test_a_late_release_disturbs_no_newer_claim(redis: AnyRedis, buffer: RoomBuffer) -> None:
    await record(redis, b"a")
    first = await claimed(buffer)
    await record(redis, b"b")
    second = await buffer.release(ROOM, first.name, "n")
    assert isinstance(second, Claim)
    assert await buffer.release(ROOM, first.name, "n") == second
    assert await buffer.read(ROOM, second.name, 0, 10) == [b"b"]


async def test_a_name_given_twice_is_never_used_twice(redis: AnyRedis, buffer: RoomBuffer) -> None:
    names = set()
    for number in range(50):
        await record(redis, str(number).encode())
        taken = await claimed(buffer)
        names.add(taken.name)
        assert await buffer.release(ROOM, taken.name, "n") == Empty()
    assert len(names) == 50


async def test_a_claim_that_vanished_is_released_all_the_same(redis: AnyRedis, buffer: RoomBuffer) -> None:
    await record(redis, b"a")
    name = (await claimed(buffer)).name
    await redis.delete(claim_key(ROOM, name))
    assert await claim(buffer) == Claim(name, 0)
    assert await buffer.release(ROOM, name, "n") == Empty()
    assert await redis.dbsize() == 0


async def test_only_the_newest_of_a_long_buffer_are_shown(redis: AnyRedis, buffer: RoomBuffer) -> None:
    await record(redis, b"a", b"b", b"c")
    await claimed(buffer)
    await record(redis, b"d", b"e")
    assert await buffer.buffered(ROOM, most=2) == [b"d", b"e"]
    assert await buffer.buffered(ROOM, most=4) == [b"b", b"c", b"d", b"e"]


async def test_a_key_of_another_type_is_no_passing_trouble(redis: AnyRedis, buffer: RoomBuffer) -> None:
    await redis.set(buffer_key(ROOM), "text")
    with pytest.raises(PermanentError):
        await claim(buffer)


async def test_a_name_that_would_make_another_key_is_refused(buffer: RoomBuffer) -> None:
    with pytest.raises(InvalidFieldError):
        await buffer.release(ROOM, "a}:b", "n")
    with pytest.raises(InvalidFieldError):
        await buffer.release(ROOM, "a", "b:c")


async def test_every_script_loads_itself_into_a_server_that_forgot_it(redis: AnyRedis, buffer: RoomBuffer) -> None:
    await record(redis, b"a")
    name = (await claimed(buffer)).name
    await redis.script_flush()
    assert await buffer.peek(ROOM) == Peek(length=0, claim=name, claimed=1)
    assert await redis.get(pointer_key(ROOM)) == name.encode()
