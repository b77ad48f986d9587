import asyncio
import json
import signal
import sys

import pytest
from afterturn_client.rooms import buffer_key

from services.resources import Resources
from tests.support.command_line import CommandLine
from tests.support.openai_server import OpenAIServer, Reset
from tests.support.rooms import until_digested

ROOM = "user:42"


def line(**fields: object) -> str:
    return json.dumps({"role": "user", "content": "I moved to Lima."} | fields) + "\n"


async def test_what_is_recorded_is_listed_and_found(worker: None, resources: Resources, afterturn: CommandLine) -> None:
    chat = line(id="m1", content="I moved to Lima.") + line(id="m2", role="assistant", content="Noted!")
    recorded = await afterturn("record", ROOM, "--json", stdin=chat)
    assert (recorded.code, recorded.document) == (
        0,
        {"room_id": ROOM, "recorded": 2, "message_ids": ["m1", "m2"], "state": "buffered"},
    )
    await until_digested(resources, ROOM, 2)

    listed = (await afterturn("rooms", "--json")).document["rooms"]
    assert [(room["room_id"], room["messages"], room["digested"]) for room in listed] == [(ROOM, 2, 2)]

    messages = (await afterturn("messages", ROOM, "--json")).document["messages"]
    assert [(m["seq"], m["id"], m["role"], m["content"], m["state"]) for m in messages] == [
        (1, "m1", "user", "I moved to Lima.", "digested"),
        (2, "m2", "assistant", "Noted!", "digested"),
    ]
    assert all(m["run_id"].startswith("room-digest:user:42/") for m in messages)
    later = (await afterturn("messages", ROOM, "--after", "1", "--json")).document["messages"]
    assert [m["seq"] for m in later] == [2]

    found = (await afterturn("search", "Lima", "--room", ROOM, "--limit", "5", "--json")).document
    assert found["by_meaning"] is True
    assert "m1" in [hit["id"] for hit in found["hits"]]
    said = {"kind", "id", "room_id", "seq", "role", "text", "happened_at", "score", "made_by"}
    assert set(found["hits"][0]) == said | {"slug", "owner", "valid_from", "valid_to"}
    for_a_person = await afterturn("search", "Lima", "--user", "42")
    assert "I moved to Lima." in for_a_person.out


async def test_search_goes_by_words_alone_while_the_model_is_away(
    worker: None, resources: Resources, afterturn: CommandLine, model: OpenAIServer
) -> None:
    await afterturn("record", ROOM, stdin="I moved to Lima.\n")
    await until_digested(resources, ROOM, 1)
    model.fault = Reset(everywhere=True)
    found = await afterturn("search", "Lima", "--json")
    assert found.code == 0
    assert found.document["by_meaning"] is False
    assert found.document["hits"]
    assert "by words alone" in found.err


async def test_each_line_of_text_is_a_message_of_the_user(
    environment: None, resources: Resources, afterturn: CommandLine
) -> None:
    assert (await afterturn("record", "room:team", "--user", "7", stdin="first\n\nsecond\n")).code == 0
    entries = [json.loads(entry) for entry in await resources.redis.lrange(buffer_key("room:team"), 0, -1)]
    assert [(e["role"], e["content"], e["user_id"]) for e in entries] == [
        ("user", "first", "7"),
        ("user", "second", "7"),
    ]


@pytest.mark.parametrize(
    ("stdin", "words"),
    [
        (line() + line(role="robot"), "line 2: role: takes user, assistant, tool or system"),
        (line() + "{broken\n", "line 2: message: takes JSON"),
        (line(user_id="a@b"), "line 1: user_id: takes"),
        ("", "standard input: takes at least one message"),
    ],
)
async def test_a_wrong_line_is_named_and_nothing_is_recorded(
    environment: None, resources: Resources, afterturn: CommandLine, stdin: str, words: str
) -> None:
    refused = await afterturn("record", ROOM, stdin=stdin)
    assert refused.code == 2
    assert words in refused.err
    assert refused.err.count("\n") == 1
    assert await resources.redis.exists(buffer_key(ROOM)) == 0


async def test_an_unknown_room_is_not_found(environment: None, afterturn: CommandLine) -> None:
    missing = await afterturn("messages", "user:nobody", "--json")
    assert (missing.code, missing.out) == (1, "")
    assert "user:nobody has no archived message" in missing.err


async def test_nothing_found_is_an_answer(environment: None, afterturn: CommandLine) -> None:
    nothing = await afterturn("search", "Lima", "--json")
    assert (nothing.code, nothing.document["hits"]) == (0, [])


async def test_control_characters_of_a_chat_do_not_reach_the_terminal(
    worker: None, resources: Resources, afterturn: CommandLine
) -> None:
    await afterturn("record", ROOM, stdin=line(content="red \x1b[31malert"))
    await until_digested(resources, ROOM, 1)
    shown = await afterturn("messages", ROOM)
    assert "\x1b" not in shown.out
    assert "[31malert" in shown.out


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, -signal.SIGTERM)])
async def test_a_signal_ends_the_wait_for_more_to_record(environment: None, number: signal.Signals, code: int) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "services.cli", "record", ROOM, stdin=asyncio.subprocess.PIPE
    )
    assert process.stdin is not None
    # More than a pipe holds: it is being read when all of it is on its way.
    process.stdin.write(b"I moved to Lima.\n" * 20_000)
    async with asyncio.timeout(60):
        await process.stdin.drain()
        await asyncio.sleep(0.5)
        process.send_signal(number)
        assert await process.wait() == code
