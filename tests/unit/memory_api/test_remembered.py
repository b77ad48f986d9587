import pytest

from services.domain.errors import TransientError
from services.memory_api.remembered import Remembered


class Asked:
    """Answers what it is told to, and counts."""

    def __init__(self, answer: str | None) -> None:
        self.answer = answer
        self.times = 0
        self.is_away = False

    async def __call__(self) -> str | None:
        self.times += 1
        if self.is_away:
            raise TransientError("away")
        return self.answer


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


async def test_an_answer_is_asked_for_again_when_it_is_no_longer_fresh() -> None:
    clock, asked = Clock(), Asked("first")
    known = Remembered[str, str](seconds=10, seconds_away=100, clock=clock)
    assert [await known.get("a", asked) for _ in range(3)] == ["first"] * 3
    assert asked.times == 1
    clock.now, asked.answer = 10.0, "second"
    assert await known.get("a", asked) == "second"


async def test_a_known_answer_stands_in_while_nobody_can_be_asked_but_not_for_ever() -> None:
    clock, asked = Clock(), Asked("known")
    known = Remembered[str, str](seconds=10, seconds_away=100, clock=clock)
    await known.get("a", asked)
    asked.is_away, clock.now = True, 99.0
    assert await known.get("a", asked) == "known"
    clock.now = 100.0
    with pytest.raises(TransientError):
        await known.get("a", asked)
    with pytest.raises(TransientError):
        await known.get("b", asked)


async def test_nothing_is_never_kept_and_what_is_gone_is_forgotten() -> None:
    asked = Asked(None)
    known = Remembered[str, str](seconds=10, seconds_away=100, clock=Clock())
    assert [await known.get("a", asked) for _ in range(2)] == [None, None]
    assert asked.times == 2
    asked.answer = "there"
    assert await known.get("a", asked) == "there"
    known.forget("a")
    asked.answer = None
    assert await known.get("a", asked) is None


async def test_the_oldest_answer_goes_where_there_are_too_many() -> None:
    asked = Asked("x")
    known = Remembered[str, str](seconds=10, seconds_away=100, most=2, clock=Clock())
    for key in ("a", "b", "c", "b", "c"):
        await known.get(key, asked)
    assert asked.times == 3
    await known.get("a", asked)
    assert asked.times == 4
