"""`redrive` on every kind of thing that quarantine holds."""

import json
from uuid import UUID, uuid4

from services.domain.ids import quarantine_id
from services.domain.messages import ClaimedEntry, Rejected
from services.resources import Resources
from tests.support.command_line import CommandLine
from tests.support.rooms import until_digested

ROOM = "user:42"
TOO_LARGE = Rejected("too_large", "message: takes at most 10 bytes")


def raw(**fields: object) -> bytes:
    return json.dumps({"role": "user", "content": "I moved to Lima."} | fields).encode()


async def set_aside(resources: Resources, entry: bytes, *, why: Rejected = TOO_LARGE, position: int = 0) -> UUID:
    """Put an entry into quarantine as an earlier release might have."""
    claimed = ClaimedEntry(position, entry, why)
    await resources.archive.add(ROOM, "claim-1", [claimed], run_id="an-earlier-run")
    return quarantine_id("claim-1", position)


async def test_an_entry_that_can_be_read_now_is_archived_at_the_rooms_end_and_digested(
    worker: None, resources: Resources, afterturn: CommandLine
) -> None:
    await afterturn("record", ROOM, stdin="first\n")
    await until_digested(resources, ROOM, 1)
    item = await set_aside(resources, raw(id="late"))

    done = await afterturn("redrive", str(item), "--json")

    assert done.code == 0, done.err
    assert [(r["outcome"], r["room_id"], r["left_quarantine"]) for r in done.document["redriven"]] == [
        ("archived", ROOM, True)
    ]
    await until_digested(resources, ROOM, 2)
    assert [m.content for m in await resources.rooms.messages(ROOM)] == ["first", "I moved to Lima."]
    assert await resources.quarantine.list_open() == []
    again = await afterturn("redrive", str(item), "--json")
    assert (again.code, again.document["redriven"][0]["outcome"]) == (0, "redriven_before")
    assert len(await resources.rooms.messages(ROOM)) == 2


async def test_all_goes_in_the_order_in_which_it_came_and_keeps_the_time_it_came(
    environment: None, resources: Resources, afterturn: CommandLine
) -> None:
    claimed = [ClaimedEntry(n, raw(content=f"number {n}"), TOO_LARGE) for n in range(12)]
    await resources.archive.add(ROOM, "claim-1", claimed, run_id="an-earlier-run")
    came = {item.created_at for item in await resources.quarantine.list_open()}
    assert (await afterturn("redrive", "--all")).code == 0
    messages = await resources.rooms.messages(ROOM)
    assert [m.content for m in messages] == [f"number {n}" for n in range(12)]
    assert {m.sent_at for m in messages} == came


async def test_an_entry_that_is_still_wrong_stays_with_its_reason(
    environment: None, resources: Resources, afterturn: CommandLine
) -> None:
    item = await set_aside(resources, b"{broken")
    refused = await afterturn("redrive", "--all", "--json")
    assert refused.code == 1
    (result,) = refused.document["redriven"]
    assert (result["outcome"], result["detail"]) == ("still_bad", "not_json: message: takes JSON")
    (left,) = await resources.quarantine.list_open()
    assert (left.id, left.tries, left.reason) == (item, 2, "not_json")


async def test_an_id_that_stands_for_other_content_stays_once(
    environment: None, resources: Resources, afterturn: CommandLine
) -> None:
    first = await set_aside(resources, raw(id="m1", content="one"))
    other = await set_aside(resources, raw(id="m1", content="another"), position=1)
    done = await afterturn("redrive", str(first), str(other), "--json")
    assert [r["outcome"] for r in done.document["redriven"]] == ["archived", "still_bad"]
    (left,) = await resources.quarantine.list_open()
    assert (left.id, left.reason) == (other, "id_reused")


async def test_a_quarantined_chunk_is_put_back(environment: None, resources: Resources, afterturn: CommandLine) -> None:
    await set_aside(resources, raw())
    await afterturn("redrive", "--all")
    chunk = await resources.chunks.next_waiting(ROOM)
    assert chunk is not None
    await resources.chunks.quarantine(chunk, reason="model_fails", detail="status 500", run_id="a-run")
    assert await resources.chunks.next_waiting(ROOM) is None

    done = await afterturn("redrive", "--all", "--json")

    assert (done.code, done.document["redriven"][0]["outcome"]) == (0, "put_back")
    assert await resources.chunks.next_waiting(ROOM) is not None


async def test_an_entry_whose_key_named_no_room_needs_one(
    environment: None, resources: Resources, afterturn: CommandLine
) -> None:
    await resources.quarantine.add_buffer("user:a@b.example:messages 1", [raw(id="m1")], run_id="a-run")
    refused = await afterturn("redrive", "--all", "--json")
    assert refused.code == 1
    (result,) = refused.document["redriven"]
    assert result["outcome"] == "needs_room"
    assert (await afterturn("redrive", result["id"], "--room", ROOM)).code == 0
    assert [m.id for m in await resources.rooms.messages(ROOM)] == ["m1"]
    assert await resources.quarantine.list_open() == []


async def test_quarantine_is_listed_and_shown(environment: None, resources: Resources, afterturn: CommandLine) -> None:
    item = await set_aside(resources, b"{broken")
    (listed,) = (await afterturn("quarantine", "list", "--room", ROOM, "--json")).document["quarantine"]
    assert (listed["id"], listed["kind"], listed["room_id"], listed["reason"]) == (
        str(item),
        "entry",
        ROOM,
        "too_large",
    )
    assert "raw" not in listed
    shown = await afterturn("quarantine", "show", str(item), "--json")
    assert shown.document["raw"] == "{broken"
    assert str(item) in (await afterturn("quarantine", "show", str(item))).out


async def test_ids_that_are_unknown_or_none_are_told_apart(environment: None, afterturn: CommandLine) -> None:
    assert (await afterturn("quarantine", "show", str(uuid4()))).code == 1
    assert (await afterturn("quarantine", "show", "x")).code == 2
    assert (await afterturn("redrive", str(uuid4()))).code == 1
    for wrong in ((), ("--all", str(uuid4())), ("--all", "--room", ROOM)):
        assert (await afterturn("redrive", *wrong)).code == 2
