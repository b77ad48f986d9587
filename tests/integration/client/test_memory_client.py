import asyncio
import json
import logging
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, cast

import pytest
from afterturn_client.errors import InvalidFieldError, RecordingFailedError
from afterturn_client.memory_client import MemoryClient
from afterturn_client.messages import Message, decode_entry
from afterturn_client.names import ROOM_MEMORY, room_memory_id
from afterturn_client.redis_connection import open_redis
from temporalio.client import Client

from services.embedded.ports import free_port
from services.embedded.redis_server import RedisServer
from tests.integration.client.redis_wire import RedisWire
from tests.support.main_job import RECORD_SECONDS

NOWHERE = "127.0.0.1:1"
SECRET = "my-secret-words"


@pytest.fixture
async def memory(redis_url: str) -> AsyncIterator[MemoryClient]:
    """Give a client whose Temporal is down."""
    async with MemoryClient.connect(redis_url, NOWHERE, seconds=RECORD_SECONDS, close_grace_seconds=0) as client:
        yield client


async def buffered(redis_url: str, room_id: str) -> list[Message]:
    async with open_redis(redis_url, answer_seconds=RECORD_SECONDS) as redis:
        entries = cast(list[bytes], await redis.lrange(f"{room_id}:messages", 0, -1))
    return [decode_entry(entry) for entry in entries]


async def test_a_turn_is_recorded_with_ids_time_and_person(memory: MemoryClient, redis_url: str) -> None:
    before = time.time()
    receipt = await memory.record_turn(
        "user:42",
        user="I moved to Lima",
        assistant="Noted!",
        tool_calls=[{"function": {"name": "save"}}],
        company_id="c1",
        metadata={"channel": "web"},
        remember=False,
    )
    said, replied = await buffered(redis_url, "user:42")
    assert receipt.state == "buffered"
    assert receipt.message_ids == (said.id, replied.id)
    assert (said.role, said.content, said.tool_calls) == ("user", "I moved to Lima", ())
    assert (replied.role, replied.content) == ("assistant", "Noted!")
    assert replied.tool_calls == ({"function": {"name": "save"}},)
    for message in (said, replied):
        assert (message.user_id, message.company_id, message.remember) == ("42", "c1", False)
        assert message.metadata == {"channel": "web"}
        assert message.sent_at
        assert before <= message.sent_at.timestamp() <= time.time()


async def test_a_turn_without_a_reply_is_one_message(memory: MemoryClient, redis_url: str) -> None:
    sent_at = datetime(2026, 1, 2, tzinfo=UTC)
    await memory.record_turn("room:general", user="Hello", user_id="7", turn_id="t1", sent_at=sent_at)
    assert await buffered(redis_url, "room:general") == [
        Message(id="t1:user", role="user", content="Hello", user_id="7", sent_at=sent_at)
    ]


async def test_the_same_turn_id_gives_the_same_message_ids(memory: MemoryClient) -> None:
    first = await memory.record_turn("user:42", user="a", assistant="b", turn_id="t1")
    assert first == await memory.record_turn("user:42", user="a", assistant="b", turn_id="t1")
    assert first.message_ids == ("t1:user", "t1:assistant")


@pytest.mark.parametrize(
    ("field", "arguments"),
    [
        ("room_id", {"room_id": "user:a@b"}),
        ("user_id", {"room_id": "room:general"}),
        ("user_id", {"user_id": "a@b"}),
        ("company_id", {"company_id": "{}"}),
        ("turn_id", {"turn_id": "x" * 191}),
        ("turn_id", {"turn_id": ""}),
        ("message", {"user": "a\x00b"}),
        ("message", {"user": "x" * 1_100_000}),
        ("message", {"metadata": {"a": float("inf")}}),
        ("metadata", {"metadata": {"a": object()}}),
    ],
)
async def test_a_wrong_argument_is_named(
    memory: MemoryClient, redis_url: str, field: str, arguments: dict[str, Any]
) -> None:
    with pytest.raises(InvalidFieldError) as caught:
        await memory.record_turn(**({"room_id": "user:42", "user": "hello"} | arguments))
    assert caught.value.field == field
    async with open_redis(redis_url, answer_seconds=RECORD_SECONDS) as redis:
        assert await redis.dbsize() == 0


async def test_messages_are_completed_only_where_something_is_missing(memory: MemoryClient, redis_url: str) -> None:
    whole = Message(id="m1", role="user", content="a", user_id="9", sent_at=datetime(2026, 1, 1, tzinfo=UTC))
    receipt = await memory.record("room:general", [whole, Message(role="assistant", content="b")])
    first, second = await buffered(redis_url, "room:general")
    assert first == whole
    assert receipt.message_ids == ("m1", second.id)
    assert second.user_id is None
    with pytest.raises(InvalidFieldError, match="user_id"):
        await memory.record("room:general", [Message(role="user", content="who am I?")])


async def test_a_down_temporal_hinders_no_turn_and_is_said_once_without_content(
    redis_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "afterturn_client")
    async with MemoryClient.connect(redis_url, NOWHERE, seconds=RECORD_SECONDS, close_grace_seconds=30) as memory:
        started = time.monotonic()
        for number in range(20):
            await memory.record_turn(f"user:{number}", user=SECRET)
        assert time.monotonic() - started < 20
    assert memory.waker
    assert (memory.waker.sent, memory.waker.failed) == (0, 20)
    own = [record.getMessage() for record in caplog.records if record.name.startswith("afterturn_client")]
    assert len(own) == 1
    assert SECRET not in caplog.text


async def test_a_burst_is_one_signal_with_start_without_content(redis_url: str, temporal_address: str) -> None:
    room_id = f"room:{uuid.uuid4().hex}"
    async with MemoryClient.connect(
        redis_url, temporal_address, seconds=RECORD_SECONDS, close_grace_seconds=60
    ) as memory:
        for _ in range(20):
            await memory.record_turn(room_id, user=SECRET, user_id="7", company_id="acme")
    handle = (await Client.connect(temporal_address)).get_workflow_handle(room_memory_id(room_id))
    history = await handle.fetch_history()
    await handle.terminate()
    events = [event for event in history.events if event.HasField("workflow_execution_signaled_event_attributes")]
    start = history.events[0].workflow_execution_started_event_attributes
    assert [event.workflow_execution_signaled_event_attributes.signal_name for event in events] == ["turn_recorded"]
    assert start.workflow_type.name == ROOM_MEMORY
    assert [json.loads(payload.data) for payload in start.input.payloads] == [{"room_id": room_id}]
    assert start.priority.fairness_key == "acme"
    assert SECRET not in history.to_json()


async def test_a_down_redis_fails_at_once_and_hands_back_what_to_try_again() -> None:
    async with MemoryClient.connect(f"redis://127.0.0.1:{free_port()}/0", NOWHERE) as memory:
        started = time.monotonic()
        with pytest.raises(RecordingFailedError) as caught:
            await memory.record_turn("user:42", user=SECRET, assistant="b")
        assert time.monotonic() - started < 20
    assert [message.role for message in caught.value.messages] == ["user", "assistant"]
    assert all(message.id and message.sent_at for message in caught.value.messages)
    assert SECRET not in f"{caught.value!r} {caught.value.__cause__}"


async def until_connected(memory: MemoryClient) -> None:
    """Record elsewhere, as often as it takes where a call has little time."""
    while True:
        with suppress(RecordingFailedError):
            await memory.record_turn("user:elsewhere", user="a")
            return


async def test_a_redis_that_hangs_fails_within_the_time_limit(redis_url: str) -> None:
    async with (
        RedisWire.to(redis_url) as wire,
        MemoryClient.connect(wire.url, NOWHERE, seconds=0.4, close_grace_seconds=0) as memory,
    ):
        await until_connected(memory)
        wire.loses_answers = True
        started = time.monotonic()
        with pytest.raises(RecordingFailedError):
            await memory.record_turn("user:42", user="b")
        assert time.monotonic() - started < 20


async def test_trying_again_after_a_lost_answer_repeats_the_same_messages(redis_url: str) -> None:
    async with (
        RedisWire.to(redis_url) as wire,
        # So long that the messages are on their way before time is up.
        MemoryClient.connect(wire.url, NOWHERE, seconds=4, close_grace_seconds=0) as memory,
        MemoryClient.connect(wire.url, NOWHERE, seconds=RECORD_SECONDS, close_grace_seconds=0) as later,
    ):
        await until_connected(memory)
        wire.loses_answers = True
        with pytest.raises(RecordingFailedError) as caught:
            await memory.record_turn("user:42", user="b", assistant="c")
        wire.loses_answers = False
        receipt = await later.record(caught.value.room_id, caught.value.messages)
    recorded = await buffered(redis_url, "user:42")
    assert recorded == 2 * list(caught.value.messages)
    assert receipt.message_ids == tuple(message.id for message in recorded[:2])


async def test_a_full_redis_says_so_and_stores_nothing(own_redis: RedisServer) -> None:
    async with (
        MemoryClient.connect(own_redis.url, NOWHERE, seconds=RECORD_SECONDS) as memory,
        open_redis(own_redis.url, answer_seconds=RECORD_SECONDS) as redis,
    ):
        await redis.config_set("maxmemory", 1)
        with pytest.raises(RecordingFailedError, match="Redis is full"):
            await memory.record_turn("user:42", user="a")
        assert await redis.dbsize() == 0


async def test_the_first_turns_after_a_restart_of_redis_are_recorded(own_redis: RedisServer) -> None:
    async with MemoryClient.connect(own_redis.url, NOWHERE, seconds=RECORD_SECONDS, close_grace_seconds=0) as memory:
        await asyncio.gather(*(memory.record_turn("user:42", user=str(number)) for number in range(30)))
        await own_redis.kill()
        await own_redis.start()
        await asyncio.gather(*(memory.record_turn("user:42", user=str(number)) for number in range(30)))
    assert len(await buffered(own_redis.url, "user:42")) == 60


async def test_a_thousand_turns_at_once_wait_for_connections_and_none_fails(redis_url: str) -> None:
    async with MemoryClient.connect(redis_url, NOWHERE, seconds=RECORD_SECONDS, close_grace_seconds=0) as memory:
        await asyncio.gather(*(memory.record_turn("user:42", user=str(number)) for number in range(1_000)))
    assert len(await buffered(redis_url, "user:42")) == 1_000
