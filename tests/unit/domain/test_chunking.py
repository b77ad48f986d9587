import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest

from services.domain.chunking import cut, split, turn_ends
from services.domain.messages import ArchivedMessage
from services.domain.transcripts import estimate_tokens, transcript

START = datetime(2026, 3, 2, 9, tzinfo=UTC)


def room(*said: tuple[str, str], first: int = 1) -> list[ArchivedMessage]:
    return [
        ArchivedMessage("room:a", first + at, str(at), role, content, None, START + timedelta(hours=at))
        for at, (role, content) in enumerate(said)
    ]


def any_room(seed: int) -> list[ArchivedMessage]:
    chance = random.Random(seed)
    roles = chance.choices(["user", "assistant", "tool", "system"], weights=[5, 5, 2, 1], k=chance.randint(1, 60))
    return room(*((role, "word " * chance.choice([0, 1, 5, 20, 200])) for role in roles), first=chance.randint(1, 900))


def of(messages: Sequence[ArchivedMessage], first: int, last: int) -> list[ArchivedMessage]:
    return [message for message in messages if first <= message.seq <= last]


@pytest.mark.parametrize("seed", range(150))
def test_chunks_hold_each_message_once_in_order_within_bounds(seed: int) -> None:
    messages = any_room(seed)
    chance = random.Random(-seed)
    max_tokens, max_messages = chance.randint(10, 400), chance.randint(1, 12)
    chunks = cut(messages, max_tokens=max_tokens, max_messages=max_messages)
    assert [seq for chunk in chunks for seq in range(chunk.first_seq, chunk.last_seq + 1)] == [m.seq for m in messages]
    for chunk in chunks:
        held = of(messages, chunk.first_seq, chunk.last_seq)
        assert len(held) <= max_messages
        assert estimate_tokens(transcript(held)) <= chunk.tokens
        assert chunk.tokens <= max_tokens or len(held) == 1
    assert chunks == cut(messages, max_tokens=max_tokens, max_messages=max_messages)


@pytest.mark.parametrize("seed", range(150))
def test_a_turn_that_fits_is_never_parted(seed: int) -> None:
    messages = any_room(seed)
    ends = {chunk.last_seq for chunk in cut(messages, max_tokens=300, max_messages=10)}
    start = 0
    for end in turn_ends(messages):
        turn = messages[start:end]
        start = end
        if len(turn) <= 10 and estimate_tokens(transcript(turn)) + len(turn) <= 290:
            assert not ends & {message.seq for message in turn[:-1]}


def test_a_reply_stays_with_its_question() -> None:
    messages = room(("user", "a"), ("assistant", "b"), ("user", "c"), ("tool", "d"), ("assistant", "e"), ("user", "f"))
    chunks = cut(messages, max_tokens=1_000, max_messages=4)
    assert [(chunk.first_seq, chunk.last_seq) for chunk in chunks] == [(1, 2), (3, 6)]


def test_a_message_over_the_bound_stands_alone() -> None:
    messages = room(("user", "a"), ("assistant", "long " * 500), ("user", "b"), ("assistant", "c"))
    chunks = cut(messages, max_tokens=100, max_messages=60)
    assert [(chunk.first_seq, chunk.last_seq) for chunk in chunks] == [(1, 1), (2, 2), (3, 4)]


def test_nothing_makes_no_chunk() -> None:
    assert cut([], max_tokens=100, max_messages=10) == []


@pytest.mark.parametrize("seed", range(60))
def test_halves_hold_everything_and_meet_between_turns(seed: int) -> None:
    messages = any_room(seed)
    halves = split(messages)
    if len(messages) == 1:
        assert halves is None
        return
    assert halves is not None
    left, right = halves
    assert left
    assert right
    assert [*left, *right] == messages
    if len(turn_ends(messages)) > 1:
        assert len(left) in turn_ends(messages)
