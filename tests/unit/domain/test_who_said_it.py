from datetime import UTC, datetime

import pytest

from services.domain.forgetting import Said, ids_of, is_named, is_own_room, said_in, taken_at, theirs
from services.domain.memories import owner_of

ANA = owner_of("user", "ana")
PERSON = owner_of("user", "0d9e8f7a-1b2c-4d3e-8f90-a1b2c3d4e5f6")


@pytest.mark.parametrize(
    ("raw", "room", "user", "company"),
    [
        (b'{"role": "user", "user_id": "ana"}', "room:a", "ana", None),
        (b'{"role": "user", "user_id": 42, "company_id": "acme"}', None, "42", "acme"),
        (b'{"role": "user"}', "user:ana", "ana", None),
        (b'{"user_id": "ana", broken', "room:a", "ana", None),
        (b'"user_id":42 {', "room:a", "42", None),
        (b"\xff\xfe", "user:ana", "ana", None),
        (b"[1]", "room:a", None, None),
        (b'{"user_id": ["ana"]}', "room:a", None, None),
    ],
)
def test_who_said_it_is_read_however_broken_it_is(raw: bytes, room: str, user: str | None, company: str | None) -> None:
    said = said_in(raw, room)
    assert (said.user_id, said.company_id) == (user, company)


def test_a_turn_of_theirs_goes_with_its_replies_up_to_the_next_speaker() -> None:
    said = [
        Said("assistant", None, None),
        Said("user", "ana", None),
        Said("tool", None, None),
        Said("assistant", None, None),
        Said("user", None, None),
        Said("assistant", None, None),
        Said("assistant", "ana", None),
        Said("user", "ben", None),
    ]
    assert theirs(ANA, said, follows=False) == [False, True, True, True, False, False, True, False]


@pytest.mark.parametrize(
    ("follows", "speaker", "expected"),
    [
        (None, "ana", [True, True]),
        (None, "ben", [False, False]),
        (True, "ben", [True, False]),
        (False, "ana", [False, True]),
    ],
)
def test_what_names_nobody_replies_to_the_turn_before_it_or_opens_the_first(
    follows: bool | None,  # noqa: FBT001
    speaker: str,
    expected: list[bool],
) -> None:
    said = [Said("assistant", None, None), Said("user", speaker, None)]
    assert theirs(ANA, said, follows=follows) == expected


def test_a_room_in_which_nobody_has_spoken_by_name_is_nobodys() -> None:
    assert theirs(ANA, [Said("assistant", None, None)], follows=None) == [False]
    assert theirs(ANA, [], follows=None) == []


def test_an_id_is_known_however_it_is_written() -> None:
    assert all(is_named(PERSON, written) for written in ids_of(PERSON, None))
    assert ids_of(ANA, None)[0] == "ana"
    assert is_own_room(ANA, "user:ana")
    assert not is_own_room(ANA, "user:ana2")
    assert not is_own_room(owner_of("company", "ana"), "user:ana")
    assert not is_named(ANA, "no id at all")


def test_a_claim_tells_when_it_was_taken() -> None:
    assert taken_at("c.1767225600.000250") == datetime(2026, 1, 1, 0, 0, 0, 250, UTC)
    assert taken_at("user:x:messages b.1767225600.7") == datetime(2026, 1, 1, 0, 0, 0, 7, UTC)
    assert taken_at("import/run/0.0/1") is None
