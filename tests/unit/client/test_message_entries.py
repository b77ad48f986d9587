import json
import random
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from afterturn_client.errors import BadEntryError, InvalidFieldError
from afterturn_client.messages import MAX_ENTRY_BYTES, REASONS, Message, decode_entry, encode_entry
from pydantic import ValidationError

PLAIN: dict[str, Any] = {"role": "user", "content": "hello"}
SECRET = "my-secret-words"


def entry(**fields: Any) -> bytes:
    return json.dumps(PLAIN | fields).encode()


def nested(depth: int) -> bytes:
    return b'{"role":"user","content":"hello","metadata":' + b'{"a":' * depth + b"1" + b"}" * depth + b"}"


def reason_of(raw: bytes) -> tuple[str, str]:
    with pytest.raises(BadEntryError) as caught:
        decode_entry(raw)
    assert caught.value.reason in REASONS
    return caught.value.reason, caught.value.detail.partition(":")[0]


def test_role_and_content_are_enough() -> None:
    assert decode_entry(b'{"role": "user", "content": "hello"}') == Message(role="user", content="hello")
    assert decode_entry(
        entry(id=None, user_id=None, sent_at=None, tool_calls=None, metadata=None, remember=None)
    ) == Message(role="user", content="hello")


@pytest.mark.parametrize(
    ("raw", "reason", "field"),
    [
        (b"", "not_json", "message"),
        (b"\xff\xfe", "not_json", "message"),
        (b"hello", "not_json", "message"),
        (entry(score=float("nan")), "not_json", "message"),
        (b"[" * 100_000, "too_deep", "message"),
        (nested(70), "too_deep", "message"),
        (b'"text"', "not_an_object", "message"),
        (b"[]", "not_an_object", "message"),
        (b"null", "not_an_object", "message"),
        (b'{"content": "hello"}', "missing_field", "role"),
        (b'{"role": "user"}', "missing_field", "content"),
        (entry(content=None), "missing_field", "content"),
        (entry(role="robot"), "unknown_role", "role"),
        (entry(role=["user"]), "unknown_role", "role"),
        (entry(content=["a", "b"]), "wrong_type", "content"),
        (entry(content=3), "wrong_type", "content"),
        (entry(tool_calls={"a": 1}), "wrong_type", "tool_calls"),
        (entry(tool_calls=["a"]), "wrong_type", "tool_calls"),
        (entry(metadata="a"), "wrong_type", "metadata"),
        (entry(remember="perhaps"), "wrong_type", "remember"),
        (entry(user_id="a@b.c"), "bad_id", "user_id"),
        (entry(company_id="x" * 201), "bad_id", "company_id"),
        (entry(id=""), "bad_id", "id"),
        (entry(id=True), "wrong_type", "id"),
        (entry(sent_at="yesterday"), "bad_time", "sent_at"),
        (entry(sent_at="0001-01-01T00:00:00+09:00"), "bad_time", "sent_at"),
        (entry(sent_at=True), "wrong_type", "sent_at"),
        (entry(content="a\x00b"), "nul_character", "message"),
        (b'{"role": "user", "content": "hello", "a\\u0000": 1}', "nul_character", "message"),
        (b'{"role": "user", "content": "\\ud83d"}', "lone_surrogate", "message"),
        (b'{"role": "user", "content": "hello", "n": 1e999}', "number_out_of_range", "message"),
        (b'{"role": "user", "content": "hello", "n": ' + b"9" * 400 + b"}", "number_out_of_range", "message"),
        (b'{"role": "user", "content": "hello", "n": ' + b"9" * 5_000 + b"}", "number_out_of_range", "message"),
        (entry(content="x" * MAX_ENTRY_BYTES), "too_large", "message"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_bad_entry_has_a_reason_and_names_its_field(raw: bytes, reason: str, field: str) -> None:
    assert reason_of(raw) == (reason, field)


@pytest.mark.parametrize(
    "raw",
    [
        entry(role=SECRET),
        entry(user_id=f"{SECRET}!"),
        entry(sent_at=SECRET),
        entry(remember=SECRET),
        entry(tool_calls=SECRET),
        entry(tool_calls=[SECRET]),
        entry(metadata=SECRET),
        entry(**{SECRET: "\x00"}),
        SECRET.encode(),
        json.dumps(SECRET).encode(),
        json.dumps({SECRET: SECRET}).encode(),
    ],
)
def test_nothing_of_a_bad_entry_shows_in_its_error(raw: bytes) -> None:
    with pytest.raises(BadEntryError) as caught:
        decode_entry(raw)
    assert SECRET not in f"{caught.value!r} {caught.value} {caught.value.__cause__}"


def test_a_wrong_message_does_not_show_its_input() -> None:
    with pytest.raises(ValidationError) as caught:
        Message.model_validate({"role": "user", "content": {"text": SECRET}})
    assert SECRET not in str(caught.value)


def test_fields_that_a_message_does_not_have_are_kept_in_metadata() -> None:
    message = decode_entry(entry(name="Ana", metadata={"name": "kept", "lang": "es"}, channel={"id": 7}))
    assert message.metadata == {"name": "kept", "lang": "es", "name_": "Ana", "channel": {"id": 7}}


def test_unknown_fields_of_a_message_are_refused() -> None:
    with pytest.raises(ValidationError):
        Message.model_validate(PLAIN | {"name": "Ana"})


def test_content_may_be_missing_only_with_tool_calls() -> None:
    call = {"function": {"name": "f"}}
    assert decode_entry(json.dumps({"role": "assistant", "content": None, "tool_calls": [call]}).encode()).content == ""
    assert Message(role="assistant", tool_calls=(call,)).content == ""
    with pytest.raises(ValidationError):
        Message(role="assistant")


def test_whole_numbers_are_taken_as_ids() -> None:
    assert decode_entry(entry(user_id=42, id=7)).user_id == "42"


@pytest.mark.parametrize(
    "text", ["2026-01-02T03:04:05", "2026-01-02T03:04:05Z", "2026-01-02T06:04:05+03:00", 1767323045]
)
def test_times_are_aware_and_in_utc(text: object) -> None:
    sent_at = decode_entry(entry(sent_at=text)).sent_at
    assert sent_at == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert sent_at.tzinfo == UTC


def test_a_message_survives_its_entry() -> None:
    lima = timezone(timedelta(hours=-5))
    full = Message(
        id="m:1",
        role="assistant",
        content="¡Anotado! 🎉  \n",
        user_id="42",
        company_id="c.1",
        sent_at=datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=lima),
        tool_calls=({"function": {"name": "f", "arguments": "{}"}},),
        metadata={"a": [1, 2.5, None, True, {"b": "c"}]},
        remember=False,
    )
    for message in (full, Message(role="user", content=""), Message(role="user", content="x")):
        assert decode_entry(encode_entry(message)) == message


def test_the_depth_limit_counts_the_message_itself() -> None:
    decode_entry(nested(63))
    assert reason_of(nested(64)) == ("too_deep", "message")


def test_a_cycle_is_too_deep() -> None:
    loop: dict[str, Any] = {}
    loop["again"] = loop
    with pytest.raises(ValidationError, match="64 levels"):
        Message(role="user", content="x", metadata=loop)


def test_a_message_over_the_size_limit_is_refused_before_it_is_sent() -> None:
    with pytest.raises(InvalidFieldError, match="1048576 bytes"):
        encode_entry(Message(role="user", content="é" * (MAX_ENTRY_BYTES // 2)))


def mutated(dice: random.Random, raw: bytes) -> bytes:
    data = bytearray(raw)
    for _ in range(dice.randint(1, 6)):
        place = dice.randrange(len(data) + 1)
        piece = dice.choice(
            [b"\x00", b"\\u0000", b"\\ud800", b"\xff", b'"', b"{", b"[", b"}", b"1e999", b"-", b"null", b"NaN"]
        )
        data[place : place + dice.randint(0, 4)] = piece
    return bytes(data)


def random_value(dice: random.Random, depth: int = 0) -> Any:
    leaves: list[Any] = [None, True, 0, -1, 10**400, 1.5, "", "a@b", "\ud800", "\x00", "user", "2026-01-01", "x" * 201]
    if depth > 3 or dice.random() < 0.6:
        return dice.choice(leaves)
    if dice.random() < 0.5:
        return [random_value(dice, depth + 1) for _ in range(dice.randint(0, 3))]
    return {dice.choice(["role", "content", "a", "\ud800"]): random_value(dice, depth + 1) for _ in range(3)}


def test_whatever_the_bytes_only_bad_entry_is_raised_and_what_passes_can_be_written_again() -> None:
    dice = random.Random(2026)
    fields = ["role", "content", "id", "user_id", "company_id", "sent_at", "tool_calls", "metadata", "remember", "zz"]
    passed = 0
    for _ in range(20_000):
        whole = PLAIN | {dice.choice(fields): random_value(dice) for _ in range(dice.randint(0, 3))}
        raw = dice.choice(
            [json.dumps(whole).encode(), mutated(dice, json.dumps(whole).encode()), dice.randbytes(dice.randint(0, 40))]
        )
        try:
            message = decode_entry(raw)
        except BadEntryError as error:
            assert error.reason in REASONS  # noqa: PT017
            continue
        passed += 1
        assert decode_entry(encode_entry(message)) == message
    assert passed > 1_000
