"""A server's clock is judged by how well it is known: whoever waited long for the answer knows it no better."""

import pytest

from services.cli.checks.check import clock_check


@pytest.mark.parametrize(
    ("told", "before", "after", "state"),
    [
        (1_000.0, 1_000.0, 1_000.1, "ok"),
        (1_001.5, 1_000.0, 1_000.1, "ok"),
        (1_003.0, 1_000.0, 1_000.1, "failed"),
        (997.0, 1_000.0, 1_000.1, "failed"),
        # Asked at once, and heard of ten seconds later: nothing says that it is wrong.
        (1_000.0, 1_000.0, 1_010.0, "ok"),
        (1_010.0, 1_000.0, 1_010.0, "ok"),
        (1_013.0, 1_000.0, 1_010.0, "failed"),
    ],
)
def test_no_more_skew_is_told_than_is_known(told: float, before: float, after: float, state: str) -> None:
    assert clock_check("Redis", told, before=before, after=after).state == state
