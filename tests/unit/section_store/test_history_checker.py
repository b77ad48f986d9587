"""The checker that judges the section store under outages: it must find what no register could have answered."""

import pytest

from tests.support.section_history import Did, faults


def read(start: float, version: int, end: float | None = None) -> Did:
    tag = f"t{version}" if version else ""
    return Did("read", "k", start, end if end is not None else start + 0.5, tag=tag, version=version)


def write(start: float, version: int, end: float | None = None) -> Did:
    return Did("write", "k", start, end if end is not None else start + 0.5, tag=f"t{version}", version=version)


def unknown(start: float, version: int) -> Did:
    return Did("write", "k", start, float("inf"), tag=f"t{version}", acknowledged=False)


def gone(start: float, *, acknowledged: bool = True) -> Did:
    return Did("delete", "k", start, start + 0.5 if acknowledged else float("inf"), acknowledged=acknowledged)


POSSIBLE = {
    "nothing yet": [read(0, 0), write(1, 1), read(2, 1)],
    "old while the new is written": [write(0, 1), write(1, 2, end=9), read(2, 1), read(3, 2), read(4, 2)],
    "an unknown write seen late": [write(0, 1), unknown(1, 2), read(2, 1), read(5, 2), read(6, 2)],
    "an unknown write never seen": [write(0, 1), unknown(1, 2), read(9, 1)],
    "deleted": [write(0, 1), gone(1), read(2, 0), write(3, 2), read(4, 2)],
    "an unknown delete that comes late": [write(0, 1), gone(1, acknowledged=False), read(2, 1), read(9, 0)],
    "reads at once": [write(0, 1), write(1, 2, end=9), read(2, 2, end=8), read(3, 1, end=7)],
}
IMPOSSIBLE = {
    "a stale read": [write(0, 1), write(1, 2), read(2, 1)],
    "a lost write": [write(0, 1), read(1, 0)],
    "back again": [write(0, 1), write(1, 2, end=99), read(2, 2), read(3, 1)],
    "versions turned round": [write(0, 2), write(1, 1)],
    "one version twice": [write(0, 1), write(1, 1)],
    "never written": [read(0, 7)],
    "read before it was written": [read(0, 1), write(1, 1)],
    "deleted and there": [write(0, 1), gone(1), read(2, 1)],
    "seen to be gone and there": [write(0, 1), gone(1, acknowledged=False), read(2, 0), read(3, 1)],
    "gone without a delete after it": [gone(0), write(1, 1), read(2, 0)],
    "another version": [write(0, 1), Did("read", "k", 1, 2, tag="t1", version=3)],
}


@pytest.mark.parametrize("name", POSSIBLE)
def test_what_a_register_may_answer_passes(name: str) -> None:
    assert list(faults(POSSIBLE[name])) == []


@pytest.mark.parametrize("name", IMPOSSIBLE)
def test_what_no_register_answers_is_found(name: str) -> None:
    assert list(faults(IMPOSSIBLE[name])) != []


def test_keys_are_judged_apart() -> None:
    other = Did("write", "other", 0, 1, tag="x", version=9)
    assert list(faults([other, write(2, 1), read(3, 1)])) == []
