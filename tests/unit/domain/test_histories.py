"""What stands under a slug follows from all that was ever asserted, in whatever order it came."""

import random
from datetime import UTC, datetime, timedelta, timezone
from uuid import UUID

import pytest

from services.domain.errors import InvalidInputError
from services.domain.histories import Assertion, Placement, assertion_of, place, versions
from services.domain.memories import Change, Kind, NewMemory, brain_id, owner_of

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
BRAIN = brain_id(owner_of("user", "42"), "city")


def say(content: str | None, hour: int = 0, kind: Kind = "semantic") -> Assertion:
    return assertion_of(BRAIN, NewMemory("city", content, NOON + timedelta(hours=hour), kind))


def learn(*assertions: Assertion) -> tuple[dict[UUID, Assertion], list[Placement]]:
    """Learn one after the other, as a writer does that keeps what it was told."""
    known: dict[UUID, Assertion] = {}
    placed = []
    for one in assertions:
        placed.append(place(known.values(), one))
        known[one.id] = one
    return known, placed


def changes(*assertions: Assertion) -> list[Change]:
    return [placed.change for placed in learn(*assertions)[1]]


LIMA, CUSCO, ENDED = "lives in Lima", "lives in Cusco", None


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ([say(LIMA, 1)], ["created"]),
        ([say(LIMA, 1), say(CUSCO, 2)], ["created", "updated"]),
        ([say(LIMA, 1), say(LIMA, 2)], ["created", "unchanged"]),
        ([say(LIMA, 1), say(LIMA, 2, "episodic")], ["created", "updated"]),
        ([say(LIMA, 1), say(ENDED, 2)], ["created", "ended"]),
        ([say(LIMA, 1), say(ENDED, 2), say(CUSCO, 3)], ["created", "ended", "created"]),
        ([say(CUSCO, 2), say(LIMA, 1)], ["created", "earlier"]),
        ([say(CUSCO, 2), say(ENDED, 1)], ["created", "earlier"]),
        ([say(ENDED, 2), say(LIMA, 1)], ["unchanged", "earlier"]),
        ([say(LIMA, 2), say(LIMA, 1)], ["created", "unchanged"]),
        ([say(ENDED, 1), say(ENDED, 2)], ["unchanged", "unchanged"]),
        # What was said again after the late fact still stands.
        ([say(LIMA, 1), say(LIMA, 3), say(CUSCO, 2)], ["created", "unchanged", "earlier"]),
    ],
)
def test_each_assertion_changes_what_it_should(said: list[Assertion], expected: list[Change]) -> None:
    assert changes(*said) == expected


def test_what_was_confirmed_later_outlives_a_late_import() -> None:
    first, again, late = say(LIMA, 1), say(LIMA, 3), say(CUSCO, 2)
    known, placed = learn(first, again, late)
    assert [[one.asserted_at.hour - 12 for one in run] for run in versions(known.values())] == [[1], [2], [3]]
    assert placed[2].version == late
    assert placed[2].current == again
    assert placed[2].superseded == first
    assert placed[2].renamed == ((first, again),)


def test_the_same_words_before_a_version_move_it_back() -> None:
    later, before, other = say(LIMA, 3), say(LIMA, 2), say(CUSCO, 1)
    _, placed = learn(later, other, before)
    assert placed[2].version == placed[2].current == before
    assert placed[2].superseded is None
    assert placed[2].renamed == ((later, before),)


def test_at_the_same_moment_an_end_comes_before_what_begins() -> None:
    for said in ([say(ENDED, 1), say(LIMA, 1)], [say(LIMA, 1), say(ENDED, 1)]):
        assert learn(*said)[1][-1].current == say(LIMA, 1)


@pytest.mark.parametrize("seed", range(300))
def test_the_order_of_learning_plays_no_part(seed: int) -> None:
    dice = random.Random(seed)
    contents = [LIMA, CUSCO, ENDED, "lives in Puno"][: dice.randint(2, 4)]
    kinds: list[Kind] = ["semantic", "episodic"]
    said = [say(dice.choice(contents), dice.randint(0, 6), dice.choice(kinds)) for _ in range(dice.randint(1, 12))]
    expected = versions({one.id: one for one in said}.values())
    for _ in range(5):
        order = [*said, *dice.choices(said, k=3)]
        dice.shuffle(order)
        known, placed = learn(*order)
        assert versions(known.values()) == expected
        assert placed[-1].current == expected[-1][0]
        follow(order, placed)


def follow(order: list[Assertion], placed: list[Placement]) -> None:
    """Check that what each step tells is enough to keep the versions by it, and that no late fact overwrote one."""
    heads: dict[UUID, Assertion] = {}
    learned: list[Assertion] = []
    for new, did in zip(order, placed, strict=True):
        for first, second in did.renamed:
            assert first.statement == second.statement
            if second == new:
                del heads[first.id]
            heads[second.id] = second
        heads[did.version.id] = did.version
        newest = max([*learned, new], key=lambda one: one.order)
        assert did.current.statement == newest.statement
        stood = max(learned, key=lambda one: one.order).statement if learned else None
        assert (did.change in ("created", "updated", "ended")) == (stood != newest.statement)
        if did.change in ("created", "updated", "ended"):
            assert new == newest
        if did.superseded:
            assert did.superseded.id in heads
            assert did.superseded != did.current
        learned.append(new)
    assert set(heads) == {run[0].id for run in versions(set(learned))}


def test_a_time_zone_makes_no_other_assertion() -> None:
    there = NOON.astimezone(timezone(timedelta(hours=-5)))
    assert assertion_of(BRAIN, NewMemory("city", LIMA, there)) == say(LIMA)
    assert say(LIMA).id != assertion_of(brain_id(owner_of("company", "42"), "city"), NewMemory("city", LIMA, NOON)).id


@pytest.mark.parametrize(
    ("memory", "field"),
    [
        (NewMemory("City", LIMA, NOON), "slug"),
        (NewMemory("city", " \n", NOON), "content"),
        (NewMemory("city", "a\x00b", NOON), "content"),
        (NewMemory("city", "\ud800", NOON), "content"),
        (NewMemory("city", "x" * 20_001, NOON), "content"),
        (NewMemory("city", LIMA, NOON.replace(tzinfo=None)), "asserted_at"),
        (NewMemory("city", LIMA, NOON, metadata={"a": {"b": ["\x00"]}}), "metadata"),
        (NewMemory("city", LIMA, NOON, metadata={"a": float("nan")}), "metadata"),
        (NewMemory("city", LIMA, NOON, metadata={"a": NOON}), "metadata"),
    ],
)
def test_what_could_never_be_kept_is_refused_by_its_field(memory: NewMemory, field: str) -> None:
    with pytest.raises(InvalidInputError) as refused:
        assertion_of(BRAIN, memory)
    assert refused.value.field == field


def test_a_written_escape_is_no_forbidden_character() -> None:
    said = assertion_of(BRAIN, NewMemory("city", LIMA, NOON, metadata={"path": "\\u0000"}))
    assert said.asserted_at == say(LIMA).asserted_at
    assert said.statement != say(LIMA).statement
