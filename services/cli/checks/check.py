"""One thing that was looked at."""

from dataclasses import dataclass
from typing import Literal

State = Literal["ok", "failed", "not checkable"]

# Tokens, leases and `sent_at` of producers are compared across machines.
MOST_SKEW_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Check:
    """`cure` says what to do where `state` is `failed`."""

    name: str
    state: State
    detail: str = ""
    cure: str = ""


def judged(name: str, *, good: bool, detail: str, cure: str) -> Check:
    return Check(name, "ok", detail) if good else Check(name, "failed", detail, cure)


def clock_check(server: str, told: float, *, before: float, after: float) -> Check:
    """Judge a time that a server told at some moment between two of this machine's: it is known no better than so."""
    skew_seconds = told - (before + after) / 2
    return judged(
        f"{server}: clock",
        good=abs(skew_seconds) < MOST_SKEW_SECONDS + (after - before) / 2,
        detail=f"{skew_seconds:+.2f} s against this machine's",
        cure="let both machines keep time by NTP",
    )
