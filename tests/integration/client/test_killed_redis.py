"""Promise 2 from the caller's side: Redis is killed while turns are recorded."""

import asyncio
from typing import cast

from afterturn_client.errors import RecordingFailedError
from afterturn_client.memory_client import MemoryClient
from afterturn_client.messages import Message, decode_entry
from afterturn_client.receipts import TurnReceipt
from afterturn_client.redis_connection import open_redis

from services.embedded.redis_server import RedisServer
from tests.support.main_job import RECORD_SECONDS

NOWHERE = "127.0.0.1:1"
ROOMS = 4
CALLERS = 6
KILLS = 4


async def buffered(redis_url: str, room_id: str) -> list[Message]:
    async with open_redis(redis_url, answer_seconds=RECORD_SECONDS) as redis:
        entries = cast(list[bytes], await redis.lrange(f"{room_id}:messages", 0, -1))
    return [decode_entry(entry) for entry in entries]


def as_archived(messages: list[Message]) -> list[Message]:
    """Keep the first of each id, as the archive does; the same id must be the same message."""
    known: dict[str, Message] = {}
    for message in messages:
        assert known.setdefault(message.id or "", message) == message
    return list(known.values())


async def kill_and_start(server: RedisServer, times: int) -> None:
    for _ in range(times):
        await asyncio.sleep(0.25)
        await server.kill()
        await asyncio.sleep(0.1)
        await server.start()
    await asyncio.sleep(0.25)


async def test_no_acknowledged_turn_is_lost_and_none_is_stored_twice(own_redis: RedisServer) -> None:
    acknowledged: dict[tuple[int, int], list[str]] = {
        (room, caller): [] for room in range(ROOMS) for caller in range(CALLERS)
    }
    failures = 0

    async def kill_and_go_on() -> None:
        await kill_and_start(own_redis, KILLS)
        while min(map(len, acknowledged.values())) <= 10:
            await asyncio.sleep(0.05)

    killing = asyncio.create_task(kill_and_go_on())

    async def speak(memory: MemoryClient, room: int, caller: int) -> None:
        nonlocal failures
        number = 0
        while not killing.done():
            turn = f"{caller}-{number}"
            try:
                receipt = await memory.record_turn(f"user:{room}", user=f"says {number}", assistant="ok", turn_id=turn)
            except RecordingFailedError as error:
                failures += 1
                receipt = await until_recorded(memory, error)
            acknowledged[room, caller] += receipt.message_ids
            number += 1

    async with MemoryClient.connect(own_redis.url, NOWHERE, close_grace_seconds=0) as memory:
        async with asyncio.TaskGroup() as callers:
            for room, caller in acknowledged:
                callers.create_task(speak(memory, room, caller))
        await killing
    assert failures > 0, "Redis was never caught at work"
    for room in range(ROOMS):
        ids = [message.id for message in as_archived(await buffered(own_redis.url, f"user:{room}"))]
        for caller in range(CALLERS):
            assert [one for one in ids if str(one).startswith(f"{caller}-")] == acknowledged[room, caller]


async def until_recorded(memory: MemoryClient, error: RecordingFailedError) -> TurnReceipt:
    while True:
        await asyncio.sleep(0.02)
        try:
            return await memory.record(error.room_id, error.messages)
        except RecordingFailedError:
            continue


async def test_with_a_queue_every_call_succeeds_and_each_room_keeps_its_order(own_redis: RedisServer) -> None:
    killing = asyncio.create_task(kill_and_start(own_redis, KILLS))
    counts = dict.fromkeys(range(ROOMS), 0)
    states = set()

    async def speak(memory: MemoryClient, room: int) -> None:
        while not killing.done():
            receipt = await memory.record_turn(f"user:{room}", user="says", turn_id=str(counts[room]))
            states.add(receipt.state)
            counts[room] += 1
            await asyncio.sleep(0.001)

    async with MemoryClient.connect(own_redis.url, NOWHERE, queue_in_outage=100_000, close_grace_seconds=30) as memory:
        async with asyncio.TaskGroup() as callers:
            for room in range(ROOMS):
                callers.create_task(speak(memory, room))
        await killing
    assert states == {"buffered", "queued"}
    for room in range(ROOMS):
        ids = [message.id for message in as_archived(await buffered(own_redis.url, f"user:{room}"))]
        assert ids == [f"{number}:user" for number in range(counts[room])]
