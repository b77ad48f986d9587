"""Past conversations from files: each message once, whatever the file is like and however often it comes."""

import asyncio
import json
from pathlib import Path
from random import Random
from typing import Any

import pytest
from temporalio.client import WorkflowFailureError

from activities.import_steps import ImportResult
from services.operations.redriving import Redriving
from services.resources import Resources
from tests.support.exports import chat, claude, line, locomo, write_conversations, write_lines
from tests.support.imports import everything, imported, start_import


@pytest.fixture
def folder(import_folder: Path) -> Path:
    return import_folder


async def contents(resources: Resources, room_id: str) -> list[str]:
    return [message.content for message in await resources.rooms.messages(room_id)]


async def test_lines_of_several_conversations_become_rooms_in_their_order(
    folder: Path, resources: Resources, worker: None
) -> None:
    write_conversations(folder / "chats.jsonl", conversations=3, messages=400)
    result = await imported(resources, "chats.jsonl", room_prefix="old:", user_id="42")
    assert result == ImportResult(conversations=3, messages_added=1200)
    for conversation in range(3):
        messages = await resources.rooms.messages(f"room:old:c{conversation}")
        assert [message.content for message in messages] == [f"says {conversation * 400 + n}" for n in range(400)]
        assert {message.user_id for message in messages} == {"42"}
        assert [message.seq for message in messages] == list(range(1, 401))
    assert messages[0].sent_at.isoformat() == "2026-03-01T13:20:00+00:00"


async def test_exports_of_other_systems_become_rooms(folder: Path, resources: Resources, worker: None) -> None:
    (folder / "chatgpt.json").write_text(json.dumps([chat("a", 3), chat("b", 2)]))
    (folder / "claude.json").write_text(json.dumps([claude("c", ["asks", "hears"])], indent=2))
    (folder / "locomo.json").write_text(json.dumps([locomo("d", [["one", "two"], ["three"]])]))
    (folder / "mine.jsonl").write_text(line(0))
    assert await imported(resources, "chatgpt.json", "1", user_id="42") == ImportResult(
        conversations=2, messages_added=10
    )
    assert (await imported(resources, "claude.json", "2", user_id="42")).messages_added == 2
    assert (await imported(resources, "locomo.json", "3")).messages_added == 3
    assert (await imported(resources, "mine.jsonl", "4", room_id="user:42")).messages_added == 1
    rooms = {state.room_id for state in await resources.rooms.list_rooms()}
    assert rooms == {"room:chatgpt:a", "room:chatgpt:b", "room:claude:c", "room:locomo:d", "user:42"}
    assert await contents(resources, "room:chatgpt:b") == ["asks 0", "hears 0", "asks 1", "hears 1"]
    assert await contents(resources, "room:locomo:d") == ["one", "two", "three"]


@pytest.mark.parametrize("reads", ["jsonl", "chatgpt"])
async def test_a_second_import_of_the_same_messages_changes_nothing(
    folder: Path, resources: Resources, worker: None, reads: str
) -> None:
    """Under another name, at other places, in another order: the same messages."""
    random = Random(3)
    if reads == "jsonl":
        pieces = [line(number, conversation_id=f"c{number % 3}") for number in range(150)]
        pieces += [line(number, id=None, conversation_id="c0") for number in range(150, 160)]
        pieces += ["{broken\n", line(7, conversation_id="c1", content="another under a known id")]
        texts = ["".join(pieces), "\n\n" + "".join(pieces), "".join(random.sample(pieces, len(pieces)))]
    else:
        chats: list[Any] = [chat(f"c{number}", 5) for number in range(30)] + [{"title": "no tree"}]
        texts = [json.dumps(chats), "\n" + json.dumps(chats), json.dumps(random.sample(chats, len(chats)))]
    results, states = [], []
    for number, text in enumerate(texts):
        (folder / f"file {number}.json").write_text(text)
        results.append(await imported(resources, f"file {number}.json", str(number), user_id="42"))
        states.append(await everything(resources))
    assert states[1:] == [states[0], states[0]]
    assert results[0].messages_added == (160 if reads == "jsonl" else 300)
    assert [result.messages_added for result in results[1:]] == [0, 0]
    assert {result.quarantined for result in results} == {2 if reads == "jsonl" else 1}


async def test_bad_lines_are_set_aside_with_reason_and_place_and_the_rest_goes_on(
    folder: Path, resources: Resources, worker: None
) -> None:
    good = [line(number).encode() for number in range(5)]
    bad = [
        b"{broken\n",
        line(9, content="caf\u00e9").encode("latin-1").replace(b"\\u00e9", b"\xe9"),
        b'{"role": "user", "content": "' + b"x" * 3_000_000 + b'"}\n',
        line(9, user_id="a@b.c").encode(),
        b"\xff\xfe\x00\n",
    ]
    parts = [good[0], bad[0], good[1], bad[1], bad[2], good[2], bad[3], good[3], bad[4], good[4], b'{"role": "us']
    (folder / "bad.jsonl").write_bytes(b"".join(parts))
    result = await imported(resources, "bad.jsonl", user_id="42")
    assert (result.messages_added, result.quarantined) == (5, 6)
    assert await contents(resources, "user:42") == [f"says {number}" for number in range(5)]
    items = {item.position: item for item in await resources.quarantine.list_open()}
    reasons = {position: item.reason for position, item in items.items()}
    assert reasons == {2: "not_json", 4: "not_json", 5: "too_large", 7: "bad_id", 9: "not_json", 11: "not_json"}
    for position, item in items.items():
        assert item.detail.startswith(f"line {position} at byte {sum(map(len, parts[: position - 1]))}: ")
        kept = await resources.quarantine.get(item.id)
        assert kept is not None
        assert kept.raw == parts[position - 1].strip()[: 1024 * 1024]


async def test_a_bad_line_can_be_redriven(folder: Path, resources: Resources, worker: None) -> None:
    """Where no room was known, an operator says one."""
    (folder / "lost.jsonl").write_text(line(0, conversation_id="c") + line(1))
    result = await imported(resources, "lost.jsonl")
    assert (result.messages_added, result.quarantined) == (1, 1)
    [item] = await resources.quarantine.list_open()
    redriving = Redriving(resources.quarantine, resources.archive, resources.temporal)
    assert (await redriving.redrive(item.id)).outcome == "needs_room"
    assert (await redriving.redrive(item.id, room_id="room:c")).outcome == "archived"
    assert await contents(resources, "room:c") == ["says 0", "says 1"]


@pytest.mark.parametrize("share", [0.0, 0.3, 0.99])
async def test_a_truncated_export_gives_what_is_whole(
    folder: Path, resources: Resources, worker: None, share: float
) -> None:
    whole = json.dumps([chat(f"c{number}", 3) for number in range(10)])
    start = whole.index('{"conversation_id": "c6"')
    cut = start + 1 + int(share * (whole.index('{"conversation_id": "c7"') - start - 3))
    (folder / "cut.json").write_text(whole[:cut])
    result = await imported(resources, "cut.json", user_id="42")
    assert result == ImportResult(conversations=6, messages_added=36, quarantined=1)
    [item] = await resources.quarantine.list_open()
    assert (item.reason, item.position) == ("truncated", 7)
    (folder / "whole.json").write_text(whole)
    again = await imported(resources, "whole.json", "2", user_id="42")
    assert (again.messages_added, again.repeated) == (24, 36)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"source": "chats.json", "max_per_secnod": 5}, "max_per_secnod"),
        ({"sauce": "chats.json"}, "source"),
        ({"source": "chats.json", "max_per_second": 0}, "max_per_second"),
        ({"source": "chats.json", "room_id": "somewhere"}, "room_id"),
        ({"source": "chats.json", "user_id": "a@b"}, "user_id"),
        ({"source": "chats.json", "format": "csv"}, "format"),
        ({"source": "chats.json"}, "user_id: takes the id of the person whose export this is"),
        ({"source": "../chats.json", "user_id": "42"}, "source: takes a path inside the import folder"),
        ({"source": "link", "user_id": "42"}, "source: takes a file that is no link"),
        ({"source": "none.json", "user_id": "42"}, "source: takes a file that is there"),
        ({"source": "empty.json", "user_id": "42"}, "source: takes a file with at least one message"),
        ({"source": "letter.txt", "user_id": "42"}, "format: takes jsonl, chatgpt, claude, locomo"),
        ({"source": "lines.jsonl"}, "room_id: takes a room, or a user_id"),
    ],
)
async def test_what_cannot_be_imported_fails_the_start_at_once(
    folder: Path, resources: Resources, worker: None, wrong: dict[str, Any], words: str
) -> None:
    (folder / "chats.json").write_text(json.dumps([chat("c", 1)]))
    (folder / "link").symlink_to(folder / "chats.json")
    (folder / "empty.json").write_text("")
    (folder / "letter.txt").write_text("Dear all")
    write_lines(folder / "lines.jsonl", range(3))
    handle = await resources.temporal.start_workflow("ImportHistory", wrong, id="wrong", task_queue="memory")
    with pytest.raises(WorkflowFailureError) as failure:
        await asyncio.wait_for(handle.result(), 60)
    cause: BaseException = failure.value.cause
    while cause.__cause__:
        cause = cause.__cause__
    assert words in str(cause)
    assert await everything(resources) == {"quarantine": []}


async def test_a_file_that_changes_meanwhile_is_no_longer_read(
    folder: Path, resources: Resources, worker: None
) -> None:
    write_lines(folder / "growing.jsonl", range(60))
    handle = await start_import(resources, "growing.jsonl", user_id="42", max_per_second=4)
    while not await resources.rooms.list_rooms():
        await asyncio.sleep(0.2)
    write_lines(folder / "growing.jsonl", range(100, 160))
    with pytest.raises(WorkflowFailureError) as failure:
        await asyncio.wait_for(handle.result(), 60)
    assert "does not change" in str(failure.value.cause.__cause__)
