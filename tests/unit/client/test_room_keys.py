import random
import string

import pytest
from afterturn_client import rooms
from afterturn_client.errors import InvalidFieldError

LETTERS = string.ascii_letters + string.digits + "_.:-"
NASTY = [
    "{",
    "}",
    "@",
    "/",
    " ",
    "\n",
    "\x00",
    "é",
    "٣",
    ":messages",
    ":claim:",
    ":pointer",
    "user:",
    "room:",
    ":",
    "*",
]


def room_ids(seed: int, count: int) -> list[str]:
    dice = random.Random(seed)
    parts = [*LETTERS, ":messages", ":pointer", ":wake", ":claim:x", "user:", "room:"]
    return [
        dice.choice(["user:", "room:"]) + "".join(dice.choices(parts, k=dice.randint(1, 20)))[:195]
        for _ in range(count)
    ]


def any_texts(seed: int, count: int) -> list[str]:
    dice = random.Random(seed)
    return ["".join(dice.choices([*LETTERS, *NASTY, *NASTY], k=dice.randint(0, 12))) for _ in range(count)]


def test_every_key_of_a_room_leads_back_to_it_and_to_no_other() -> None:
    owners: dict[str, str] = {}
    for room_id in room_ids(1, 5_000):
        keys = [rooms.buffer_key(room_id), rooms.pointer_key(room_id), rooms.wake_key(room_id)]
        keys += [rooms.claim_key(room_id, name) for name in ("a", "pointer", "0-1_2.3")]
        assert len(set(keys)) == len(keys)
        for key in keys:
            assert rooms.room_of_key(key) == room_id
            assert owners.setdefault(key, room_id) == room_id


def test_all_keys_of_a_room_have_one_hash_tag() -> None:
    for room_id in room_ids(2, 1_000):
        buffer = rooms.buffer_key(room_id)
        assert "{" not in buffer
        for key in (rooms.pointer_key(room_id), rooms.wake_key(room_id), rooms.claim_key(room_id, "x")):
            assert key[1 : key.index("}")] == buffer


def test_any_text_is_answered_and_a_room_found_is_a_valid_one() -> None:
    for text in any_texts(3, 20_000):
        for key in (text, f"{text}:messages", f"{{{text}:messages}}:pointer", f"{{{text}:messages}}:claim:a"):
            room_id = rooms.room_of_key(key)
            if room_id is not None:
                rooms.check_room_id(room_id)
                assert rooms.buffer_key(room_id) in key
        buffered = rooms.room_of_buffer(text)
        assert buffered is None or rooms.buffer_key(buffered) == text
        user = rooms.user_of_room(text)
        assert user is None or f"user:{user}" == text
        assert rooms.claim_of_key(text) is None or rooms.room_of_key(text) is not None


@pytest.mark.parametrize(
    ("key", "room_id"),
    [
        ("user:42:messages", "user:42"),
        ("room:general:messages", "room:general"),
        ("user:a:messages:messages", "user:a:messages"),
        ("user::::messages", "user:::"),
        ("user::messages", None),
        ("user:messages", None),
        ("user:42", None),
        ("user:42:messages\n", None),
        ("user:a@b.c:messages", None),
        ("user:{a}:messages", None),
        ("team:42:messages", None),
        ("user:" + "x" * 195 + ":messages", "user:" + "x" * 195),
        ("user:" + "x" * 196 + ":messages", None),
        ("{user:42:messages}:pointer", None),
        ("", None),
    ],
)
def test_room_of_buffer(key: str, room_id: str | None) -> None:
    assert rooms.room_of_buffer(key) == room_id


@pytest.mark.parametrize(
    "key", ["{user:42:messages}:claim:", "{user:42:messages}:other", "{user:42}:pointer", "{user:42:messages}:wake\n"]
)
def test_a_key_of_another_shape_belongs_to_no_room(key: str) -> None:
    assert rooms.room_of_key(key) is None


def test_user_of_room() -> None:
    assert rooms.user_of_room("user:42") == "42"
    assert rooms.user_of_room("user:a:b") == "a:b"
    assert rooms.user_of_room("room:42") is None


@pytest.mark.parametrize(
    "room_id", ["", "user:", "42", "user:a b", "user:a@b", "user:{a}", "user:" + "x" * 196, "user:a\n"]
)
def test_a_wrong_room_id_is_refused_by_name_and_not_quoted(room_id: str) -> None:
    with pytest.raises(InvalidFieldError) as caught:
        rooms.buffer_key(room_id)
    assert caught.value.field == "room_id"
    assert str(caught.value) == f"room_id: takes {rooms.ROOM_ID_TAKES}"


def test_claim_of_key() -> None:
    assert rooms.claim_of_key("{user:42:messages}:claim:c1") == "c1"
    assert rooms.claim_of_key("{user:42:messages}:pointer") is None
    assert rooms.claim_of_key("user:42:messages") is None
