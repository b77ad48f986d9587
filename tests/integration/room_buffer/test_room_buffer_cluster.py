"""The same in a Redis Cluster of three primaries: no call crosses slots, and the scan sees every node."""

import asyncio

from afterturn_client.appending import Appender
from afterturn_client.redis_connection import AnyRedis

from services.room_buffer.buffer import Claim, Empty, RoomBuffer
from tests.integration.room_buffer.room_model import Faults, check_rooms


async def test_every_message_is_archived_once_and_in_order_in_a_cluster(cluster: AnyRedis) -> None:
    outcomes = await check_rooms(cluster, RoomBuffer(cluster), Faults(), range(5_000, 5_030))
    assert [outcome for outcome in outcomes if not outcome.good] == []


async def test_rooms_of_every_node_are_found_once(cluster: AnyRedis) -> None:
    rooms = [f"user:{number}" for number in range(60)]
    for room_id in rooms:
        await cluster.rpush(f"{room_id}:messages", "a")
    assert sorted([room_id async for room_id in RoomBuffer(cluster).scan()]) == sorted(rooms)


async def test_a_room_goes_its_way(cluster: AnyRedis) -> None:
    buffer = RoomBuffer(cluster)
    for number in range(20):
        room_id = f"room:{number}:messages"
        await cluster.rpush(f"{room_id}:messages", "a", "b")
        taken = await buffer.claim(room_id, quiet_ms=0, waited_ms=0, max_wait_ms=1, batch_size=9, name="n")
        assert isinstance(taken, Claim)
        assert await buffer.read(room_id, taken.name, 0, 5) == [b"a", b"b"]
        assert await buffer.buffered(room_id) == [b"a", b"b"]
        assert await buffer.release(room_id, taken.name, "n") == Empty()
    assert await cluster.dbsize() == 0


async def test_invalid_buffers_of_every_node_are_moved(cluster: AnyRedis) -> None:
    buffer = RoomBuffer(cluster)
    keys = {f"user:{number}@b:messages".encode() for number in range(20)} | {
        b"room:{a}b{}:messages",
        b"user:{}:messages",
    }
    for key in keys:
        await cluster.rpush(key, "a")
    found = {key.key async for key in buffer.scan_invalid()}
    assert found == keys
    for key in keys:
        batch = await buffer.take_invalid(key, name="q")
        assert batch is not None
        assert batch.entries == (b"a",)
        assert await buffer.drop_invalid(key, batch)
    assert await cluster.dbsize() == 0


async def test_callers_at_the_same_time_record_into_rooms_of_every_node(cluster: AnyRedis) -> None:
    appender = Appender(cluster, batch_size=50, seconds=20)
    rooms = [f"user:{number % 40}" for number in range(400)]
    await asyncio.gather(*(appender.append(room, [b"a", b"b"]) for room in rooms))
    for room in set(rooms):
        assert await cluster.lrange(f"{room}:messages", 0, -1) == [b"a", b"b"] * 10
