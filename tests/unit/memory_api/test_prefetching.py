"""Prefetching takes nobody's time, and its failures are nobody's."""

import asyncio
import logging

import pytest
from afterturn_client.messages import Message

from services.domain.errors import TransientError
from services.domain.memories import Owner, owner_of
from services.memories.prefetching import Prefetching, reader_of

ANA = owner_of("user", "ana")


class Warmer:
    """Warms when it is allowed to; `fails` with what it has."""

    def __init__(self, fails: Exception | None = None) -> None:
        self.asked: list[tuple[Owner, str]] = []
        self.at_once = self.most_at_once = 0
        self.may = asyncio.Event()
        self.fails = fails

    async def warm(self, owner: Owner, session_id: str) -> int:
        self.asked.append((owner, session_id))
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await self.may.wait()
        finally:
            self.at_once -= 1
        if self.fails:
            raise self.fails
        return 1


async def settled() -> None:
    for _ in range(2_000):
        await asyncio.sleep(0)


async def test_a_session_is_warmed_once_and_few_at_a_time() -> None:
    warmer = Warmer()
    async with Prefetching.open(warmer) as prefetching:
        for _ in range(3):
            for number in range(50):
                prefetching.turn_arrived(ANA, f"s{number}")
        await settled()
        assert 0 < warmer.at_once < 10
        warmer.may.set()
        await settled()
    assert sorted(session for _, session in warmer.asked) == sorted(f"s{number}" for number in range(50))
    assert warmer.most_at_once < 10


async def test_what_hangs_ends_with_the_api_and_more_than_too_many_are_left_out() -> None:
    warmer = Warmer()
    async with Prefetching.open(warmer) as prefetching:
        for number in range(100_000):
            prefetching.turn_arrived(ANA, f"s{number}")
        assert len(asyncio.all_tasks()) < 5_000
        await settled()
    assert warmer.at_once == 0
    assert len(asyncio.all_tasks()) == 1


@pytest.mark.parametrize("error", [TransientError("away"), ValueError("my-secret-words")])
async def test_a_failure_is_logged_without_its_words(error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    warmer = Warmer(error)
    warmer.may.set()
    with caplog.at_level(logging.INFO):
        async with Prefetching.open(warmer) as prefetching:
            prefetching.turn_arrived(ANA, "s1")
            await settled()
    assert type(error).__name__ in caplog.text
    assert "my-secret-words" not in caplog.text


@pytest.mark.parametrize(
    ("room_id", "people", "company_id", "reader"),
    [
        ("user:ana", [None, None], None, ANA),
        ("user:ana", ["ana"], "acme", ANA),
        ("room:acme", ["ana"], "acme", ANA),
        ("room:acme", [None], "acme", owner_of("company", "acme")),
        ("room:acme", [None], None, None),
    ],
)
def test_the_reader_is_who_speaks(
    room_id: str, people: list[str | None], company_id: str | None, reader: Owner | None
) -> None:
    messages = [Message(role="user", content="hi", user_id=one, company_id=company_id) for one in people]
    assert reader_of(room_id, messages) == reader


def test_an_answer_alone_is_nobodys() -> None:
    assert reader_of("room:acme", [Message(role="assistant", content="hi", user_id="bot")]) is None
