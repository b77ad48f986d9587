import asyncio
import logging
from collections.abc import Mapping, Sequence

import pytest
from afterturn_client.appending import MOST_BYTES
from afterturn_client.errors import (
    ApiRefusedError,
    CredentialRefusedError,
    InvalidFieldError,
    RecordingFailedError,
    UnsentMessagesError,
)
from afterturn_client.messages import MAX_ENTRY_BYTES, Message, encode_entry
from afterturn_client.outage_queue import OutageQueue

SECRET = "my-secret-words"


class FakeRecorder:
    """Acknowledges messages, unless it is down, or down for a room, or refuses the key, the size or a message."""

    def __init__(self) -> None:
        self.recorded: list[tuple[str, str]] = []
        self.asked: list[list[Message]] = []
        self.down = False
        self.down_for: set[str] = set()
        self.refused: set[str] = set()
        self.bad: set[str] = set()
        self.largest: int | None = None
        self.knows_key = True

    async def record(self, room_id: str, messages: Sequence[Message]) -> None:
        await asyncio.sleep(0)
        if self.down or room_id in self.down_for:
            raise RecordingFailedError(room_id, messages, "ConnectionError")
        self.asked.append(list(messages))
        if not self.knows_key:
            raise CredentialRefusedError(401, "Unauthorized")
        if room_id in self.refused:
            raise CredentialRefusedError(403, "Forbidden")
        if self.largest is not None and size_of(messages) > self.largest:
            raise ApiRefusedError(413, "Too large")
        if self.bad & {message.id for message in messages}:
            raise ApiRefusedError(422, "Wrong")
        self.recorded += [(room_id, message.id or "") for message in messages]

    def of(self, room_id: str) -> list[str]:
        return [message_id for room, message_id in self.recorded if room == room_id]


def said(*ids: object, content: str = SECRET) -> list[Message]:
    return [Message(id=str(one), role="user", content=content) for one in ids]


def size_of(messages: Sequence[Message]) -> int:
    return sum(len(encode_entry(message)) for message in messages)


def ids_of(messages: Mapping[str, Sequence[Message]]) -> dict[str, list[str | None]]:
    return {room_id: [message.id for message in of_room] for room_id, of_room in messages.items()}


async def until_empty(queue: OutageQueue) -> None:
    async with asyncio.timeout(30):
        while queue.waiting:
            await asyncio.sleep(0.01)


async def test_nothing_waits_while_messages_are_acknowledged() -> None:
    recorder = FakeRecorder()
    queue = OutageQueue(recorder, 10)
    assert await queue.record("user:1", said(1, 2))
    assert queue.waiting == 0
    await queue.aclose(0)
    assert recorder.recorded == [("user:1", "1"), ("user:1", "2")]


async def test_what_waits_is_sent_in_each_rooms_order_once_redis_is_back(caplog: pytest.LogCaptureFixture) -> None:
    recorder = FakeRecorder()
    recorder.down = True
    queue = OutageQueue(recorder, 1_000)
    for number in range(120):
        for room in ("user:1", "user:2"):
            assert not await queue.record(room, said(2 * number, 2 * number + 1))
    assert queue.waiting == 480
    recorder.down = False
    await until_empty(queue)
    for room in ("user:1", "user:2"):
        assert recorder.of(room) == [str(number) for number in range(240)]
    assert await queue.record("user:1", said("later"))
    await queue.aclose(0)
    assert [record.levelno for record in caplog.records] == [logging.WARNING] * 2
    assert SECRET not in caplog.text


async def test_nothing_passes_a_room_that_waits() -> None:
    recorder = FakeRecorder()
    recorder.down_for = {"user:1"}
    queue = OutageQueue(recorder, 10)
    assert not await queue.record("user:1", said(1))
    assert await queue.record("user:2", said("other"))
    recorder.down_for = set()
    assert not await queue.record("user:1", said(2))
    await until_empty(queue)
    assert await queue.record("user:1", said(3))
    assert recorder.of("user:1") == ["1", "2", "3"]
    await queue.aclose(0)


@pytest.mark.parametrize("refused", [False, True])
async def test_a_room_that_stays_down_or_is_refused_holds_up_no_other(refused: bool) -> None:  # noqa: FBT001
    recorder = FakeRecorder()
    recorder.down = True
    queue = OutageQueue(recorder, 10)
    for room in ("user:1", "user:2", "user:3"):
        await queue.record(room, said(room))
    recorder.down = False
    if refused:
        recorder.refused = {"user:1"}
    else:
        recorder.down_for = {"user:1"}
    async with asyncio.timeout(30):
        while queue.waiting > (0 if refused else 1):
            await asyncio.sleep(0.01)
    assert sorted(room for room, _ in recorder.recorded) == ["user:2", "user:3"]
    with pytest.raises(UnsentMessagesError) as caught:
        await queue.aclose(0)
    assert list(caught.value.messages) == ["user:1"]


async def test_a_full_queue_refuses_with_the_messages_and_keeps_what_it_has() -> None:
    recorder = FakeRecorder()
    recorder.down = True
    queue = OutageQueue(recorder, 3)
    await queue.record("user:1", said(1, 2))
    for room in ("user:1", "user:2"):
        with pytest.raises(RecordingFailedError, match="queue is full") as caught:
            await queue.record(room, said(3, 4))
        assert [message.id for message in caught.value.messages] == ["3", "4"]
    assert not await queue.record("user:2", said(5))
    assert queue.waiting == 3
    recorder.down = False
    await until_empty(queue)
    assert (recorder.of("user:1"), recorder.of("user:2")) == (["1", "2"], ["5"])
    await queue.aclose(0)


async def test_closing_hands_back_what_was_never_sent(caplog: pytest.LogCaptureFixture) -> None:
    recorder = FakeRecorder()
    recorder.down = True
    queue = OutageQueue(recorder, 10)
    await queue.record("user:1", said(1, 2))
    await queue.record("user:2", said(3))
    with pytest.raises(UnsentMessagesError, match="3 messages in 2 rooms") as caught:
        await queue.aclose(0.05)
    assert ids_of(caught.value.messages) == {"user:1": ["1", "2"], "user:2": ["3"]}
    assert caught.value.refused == {}
    assert SECRET not in caplog.text + str(caught.value)


async def test_closing_sends_what_can_be_sent_in_time() -> None:
    recorder = FakeRecorder()
    recorder.down = True
    queue = OutageQueue(recorder, 10)
    await queue.record("user:1", said(1))
    recorder.down = False
    await queue.aclose(30)
    assert recorder.of("user:1") == ["1"]


async def test_what_can_never_be_sent_is_refused_before_it_waits() -> None:
    recorder = FakeRecorder()
    recorder.down = True
    queue = OutageQueue(recorder, 10)
    await queue.record("user:1", said(1))
    with pytest.raises(InvalidFieldError):
        await queue.record("user:1", [Message(id="2", role="user", content="x" * MAX_ENTRY_BYTES)])
    recorder.down = False
    await until_empty(queue)
    assert recorder.of("user:1") == ["1"]
    await queue.aclose(0)


async def test_what_goes_out_at_once_is_no_larger_than_redis_is_given_at_once() -> None:
    recorder = FakeRecorder()
    recorder.down = True
    queue = OutageQueue(recorder, 100)
    for number in range(60):
        await queue.record("user:1", said(number, content="x" * (MAX_ENTRY_BYTES - 100 if number == 30 else 100_000)))
    recorder.down = False
    await until_empty(queue)
    assert recorder.of("user:1") == [str(number) for number in range(60)]
    assert max(size_of(group) for group in recorder.asked) <= MOST_BYTES
    assert len(recorder.asked) == 7
    await queue.aclose(0)


async def test_a_group_that_is_too_large_for_the_api_is_halved_until_it_is_taken() -> None:
    recorder = FakeRecorder()
    recorder.down = True
    recorder.largest = 35_000
    queue = OutageQueue(recorder, 100)
    await queue.record("user:1", said(*range(100), content="x" * 10_000))
    recorder.down = False
    await until_empty(queue)
    assert recorder.of("user:1") == [str(number) for number in range(100)]
    assert queue.refused == 0
    await queue.aclose(0)


async def test_messages_that_are_refused_are_handed_back_and_the_others_go_on(caplog: pytest.LogCaptureFixture) -> None:
    recorder = FakeRecorder()
    recorder.down = True
    recorder.bad = {"0", "77", "78", "149"}
    queue = OutageQueue(recorder, 1_000)
    await queue.record("user:1", said(*range(150)))
    await queue.record("user:2", said("other"))
    recorder.down = False
    await until_empty(queue)
    assert recorder.of("user:1") == [str(number) for number in range(150) if str(number) not in recorder.bad]
    assert recorder.of("user:2") == ["other"]
    assert queue.refused == 4
    assert await queue.record("user:1", said("later"))
    recorder.down = True
    assert not await queue.record("user:1", said("last"))
    with pytest.raises(UnsentMessagesError, match="the API refuses 4 of them") as caught:
        await queue.aclose(0)
    assert ids_of(caught.value.messages) == {"user:1": ["0", "77", "78", "149", "last"]}
    assert ids_of(caught.value.refused) == {"user:1": ["0", "77", "78", "149"]}
    assert [record.message for record in caplog.records if "refused (422): Wrong" in record.message]
    assert SECRET not in caplog.text + str(caught.value)


async def test_what_is_refused_takes_places_in_the_queue() -> None:
    recorder = FakeRecorder()
    recorder.down = True
    recorder.bad = {"1", "2"}
    queue = OutageQueue(recorder, 3)
    await queue.record("user:1", said(1, 2))
    recorder.down = False
    await until_empty(queue)
    recorder.down = True
    with pytest.raises(RecordingFailedError, match="queue is full"):
        await queue.record("user:1", said(3, 4))
    assert not await queue.record("user:1", said(3))
    with pytest.raises(UnsentMessagesError):
        await queue.aclose(0)


async def test_a_key_that_is_refused_is_waited_for_with_all_that_waits() -> None:
    recorder = FakeRecorder()
    recorder.down = True
    recorder.knows_key = False
    queue = OutageQueue(recorder, 10)
    await queue.record("user:1", said(1, 2))
    recorder.down = False
    async with asyncio.timeout(30):
        while not recorder.asked:
            await asyncio.sleep(0.01)
    recorder.knows_key = True
    await until_empty(queue)
    assert (recorder.of("user:1"), queue.refused) == (["1", "2"], 0)
    await queue.aclose(0)
