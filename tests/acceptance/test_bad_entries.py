"""Bad entries are quarantined with a reason, and their neighbours get through."""

import asyncio
import json

import pytest
from afterturn_client.memory_client import MemoryClient
from afterturn_client.rooms import buffer_key

from services.resources import Resources
from tests.support.openai_server import OpenAIServer, Status
from tests.support.rooms import keys_left, until_digested

GOOD = [json.dumps({"role": "user", "content": f"good {number}"}).encode() for number in range(8)]
BAD = {
    "not_json": b"{'role': 'user'",
    "not_an_object": b"[1, 2, 3]",
    "wrong_type": b'{"role": "user", "content": {"a": 1}}',
    "unknown_role": b'{"role": "narrator", "content": "once"}',
    "too_large": json.dumps({"role": "user", "content": "x" * 5_000_000}).encode(),
    "too_deep": b'{"role": "user", "content": "deep", "metadata": ' + b'{"a":' * 5_000 + b"1" + b"}" * 5_001,
    "nul_character": b'{"role": "user", "content": "nul \\u0000"}',
}


async def test_bad_entries_are_set_aside_whole_and_their_neighbours_get_through(
    worker: None, resources: Resources
) -> None:
    room = "user:42"
    entries = [entry for pair in zip(GOOD, [*BAD.values(), b"\xff\xfe"], strict=True) for entry in pair]
    await resources.redis.rpush(buffer_key(room), *entries)

    await until_digested(resources, room, len(GOOD), seconds=90)

    contents = [message.content for message in await resources.rooms.messages(room)]
    assert contents == [f"good {number}" for number in range(8)]
    items = await resources.quarantine.list_open()
    assert {item.reason for item in items} >= set(BAD)
    kept = {item.position: (await resources.quarantine.get(item.id)) for item in items}
    assert {position: item.raw for position, item in kept.items() if item} == {
        position: entry for position, entry in enumerate(entries) if position % 2
    }
    for item in items:
        assert item.detail
        assert "narrator" not in item.detail


async def test_the_largest_message_is_digested_and_models_are_shown_a_part_of_it(
    worker: None, resources: Resources, memory: MemoryClient, model: OpenAIServer
) -> None:
    model.answer = lambda _: "<think>What was said?</think>The user moved to Lima."
    largest = "I moved to Lima. " + "and so on " * 100_000
    await memory.record_turn("user:1", user=largest, assistant="Noted!")
    await until_digested(resources, "user:1", 2, seconds=90)
    assert (await resources.rooms.messages("user:1"))[0].content == largest
    assert max(len(json.dumps(body)) for _, body in model.requests) < 20_000
    summary = await resources.summaries.rolling("user:1")
    assert summary is not None
    assert "think" not in summary.text


async def test_the_same_id_is_one_message_and_other_content_under_it_is_flagged(
    worker: None, resources: Resources
) -> None:
    room = "user:42"
    first, repeated = (b'{"id": "m1", "role": "user", "content": "tea"}' for _ in range(2))
    other = b'{"id": "m1", "role": "user", "content": "coffee"}'
    equal = [b'{"role": "user", "content": "hm"}'] * 2
    await resources.redis.rpush(buffer_key(room), first, repeated, other, *equal)

    await until_digested(resources, room, 3, seconds=90)

    assert [message.content for message in await resources.rooms.messages(room)] == ["tea", "hm", "hm"]
    [flagged] = await resources.quarantine.list_open()
    assert flagged.reason == "id_reused"


async def test_a_buffer_whose_key_names_no_room_goes_to_quarantine_whole(worker: None, resources: Resources) -> None:
    entries = [b'{"role": "user", "content": "one"}', b"two"]
    keys = ["user:someone@example.org:messages", "user:{brace}:messages", "room::messages"]
    for key in keys:
        await resources.redis.rpush(key, *entries)
    while await keys_left(resources):
        await resources.temporal.get_schedule_handle("process-rooms").trigger()
        await asyncio.sleep(1)
    items = await resources.quarantine.list_open()
    assert len(items) == len(keys) * len(entries)
    assert {item.reason for item in items} == {"bad_key"}


@pytest.mark.timeout(240)
async def test_a_poison_chunk_is_split_until_only_the_poison_is_set_aside(
    worker: None, resources: Resources, memory: MemoryClient, model: OpenAIServer
) -> None:
    model.refuses = lambda request: Status(400) if "poison" in json.dumps(request) else None
    for turn in range(6):
        await memory.record_turn("user:1", user="the poison" if turn == 3 else f"asks {turn}", assistant="hears")

    await until_digested(resources, "user:1", 12, seconds=120)

    states = {receipt.seq: receipt.state for receipt in await resources.rooms.receipts("user:1")}
    assert states == {seq: "quarantined" if seq == 7 else "digested" for seq in range(1, 13)}
    [item] = await resources.quarantine.list_open()
    assert (item.kind, item.reason) == ("chunk", "model_refuses")

    model.refuses = None
    await resources.quarantine.put_chunk_back(item)
    await until_digested(resources, "user:1", 12, seconds=120)
    assert {receipt.state for receipt in await resources.rooms.receipts("user:1")} == {"digested"}
    parts = [(part.covers_from, part.covers_to) for part in await resources.summaries.parts("user:1")]
    assert [seq for first, last in parts for seq in range(first, last + 1)] == list(range(1, 13))
    rolling = await resources.summaries.rolling("user:1")
    assert rolling is not None
    assert (rolling.covers_from, rolling.covers_to) == (1, 12)
    assert "poison" in rolling.text


async def test_a_model_that_refuses_every_request_pauses_the_work(
    worker: None, resources: Resources, memory: MemoryClient, model: OpenAIServer
) -> None:
    model.fault = Status(400)
    await memory.record_turn("user:1", user="asks", assistant="hears")
    while model.calls.total() < 4:
        await asyncio.sleep(1)
    assert await resources.quarantine.list_open() == []
    model.fault = None
    await until_digested(resources, "user:1", 2, seconds=90)
