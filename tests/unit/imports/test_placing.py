"""Rooms, people and ids: the same for the same message, wherever it stands."""

import io
from datetime import UTC, datetime
from random import Random

import pytest
from afterturn_client.rooms import is_room_id

from services.domain.messages import NewMessage, Rejected
from services.imports.pages import Cursor, pages
from services.imports.placing import Placed, Target
from services.imports.said import Format
from tests.support.exports import line

NOW = datetime(2026, 5, 1, tzinfo=UTC)


def placed(text: str, target: Target) -> list[Placed]:
    found = pages(io.BytesIO(text.encode()), target.reads, Cursor())
    return [target.place(said, NOW) for page in found for said in page.said]


def message(one: Placed) -> NewMessage:
    assert isinstance(one.entry.read, NewMessage)
    return one.entry.read


def ids(text: str, target: Target) -> list[str]:
    return [message(one).id for one in placed(text, target)]


@pytest.mark.parametrize(
    ("target", "room"),
    [
        (Target("jsonl"), "room:c1"),
        (Target("jsonl", room_prefix="old:"), "room:old:c1"),
        (Target("chatgpt"), "room:chatgpt:c1"),
        (Target("claude", room_prefix=""), "room:c1"),
        (Target("jsonl", room_id="user:7", user_id="8"), "user:7"),
    ],
)
def test_a_conversation_has_a_room_of_its_own_unless_all_go_into_one(target: Target, room: str) -> None:
    assert target.room_of("c1") == room


def test_what_names_no_conversation_goes_into_the_persons_room() -> None:
    [one] = placed(line(0), Target("jsonl", user_id="42"))
    assert (one.room_id, message(one).user_id) == ("user:42", "42")
    [lost] = placed(line(0), Target("jsonl"))
    assert lost.room_id is None
    assert isinstance(lost.entry.read, Rejected)
    assert lost.entry.read.detail.startswith("line 1 at byte 0: conversation_id: takes")


@pytest.mark.parametrize("name", ["c 1", "ünï", "a@b.c", "x" * 400, "", "../..", "{}"])
def test_any_name_makes_a_room_of_allowed_characters_and_two_names_two_rooms(name: str) -> None:
    target = Target("chatgpt", room_prefix="p:")
    room = target.room_of(name)
    assert room is not None
    assert is_room_id(room)
    assert room == target.room_of(name)
    assert room != target.room_of(f"{name}.")


def test_lines_with_ids_or_times_keep_their_ids_in_any_order_and_any_file() -> None:
    lines = [line(number, conversation_id="c") for number in range(20)]
    lines += [line(number, id=None, content=f"without an id {number}") for number in range(20, 40)]
    target = Target("jsonl", user_id="42")
    before = ids("".join(lines), target)
    Random(1).shuffle(lines)
    assert sorted(ids("\n" + "".join(lines), target)) == sorted(before)
    assert len(set(before)) == 40


def test_two_equal_lines_without_ids_and_times_are_two_messages_with_the_same_ids_at_every_reading() -> None:
    text = 3 * line(0, id=None, sent_at=None)
    target = Target("jsonl", user_id="42")
    assert len(set(ids(text, target))) == 3
    assert ids(text, target) == ids(text, target)
    assert {message(one).sent_at for one in placed(text, target)} == {NOW}


@pytest.mark.parametrize("given", ["2026-03-02T10:00:00", "2026-03-02T10:00:00Z", "2026-03-02T12:00:00+02:00"])
def test_a_time_is_the_sources_and_without_a_zone_in_utc(given: str) -> None:
    [one] = placed(line(0, sent_at=given), Target("jsonl", user_id="42"))
    assert message(one).sent_at == datetime(2026, 3, 2, 10, tzinfo=UTC)


@pytest.mark.parametrize("reads", ["jsonl", "chatgpt"])
def test_what_is_in_quarantine_is_named_by_its_content_alone(reads: Format) -> None:
    bad = '{"broken": 1}'
    target = Target(reads, user_id="42")
    [first] = placed(f"{bad}\n", target)
    again = [one for one in placed(f"{line(0)}{bad}\n", target) if one.source == first.source]
    assert len(again) == 1
    assert isinstance(again[0].entry.read, Rejected)
    assert again[0].entry.read.detail != ""
