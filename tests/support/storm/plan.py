"""What happens when, drawn from a seed: the same seed gives the same faults at the same times."""

import random
from dataclasses import dataclass
from typing import Literal

Target = Literal["worker", "api", "proxy", "temporal", "postgres", "redis", "temporal_postgres"]
Kind = Literal["kill", "kill postmaster", "pause", "refuse", "hold up", "model"]

TARGETS: tuple[Target, ...] = ("worker", "api", "proxy", "temporal", "postgres", "redis")
# A worker needs the longest to come back, and a killed Redis or Postgres hurts the most.
_WEIGHTS = (3, 2, 2, 2, 3, 4)
MODEL_MOODS = ("overloaded", "broken", "late", "resetting", "away")
# The first moments are calm, so that something is under way.
_CALM_SECONDS = 2.0


@dataclass(frozen=True, slots=True, order=True)
class Fault:
    """At so many seconds, something is done to a target; what is no kill lasts for `seconds`."""

    at: float
    kind: Kind
    target: str
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Plan:
    """`sweeps_are_hurried` lets the sweep run every few seconds once the storm is over, as an operator could.

    `temporal_on_postgres` takes Temporal's real server on a Postgres of its own, which is killed, too.
    """

    seed: int
    seconds: float
    rooms: int
    messages: int
    kills: int
    settle_seconds: float = 240.0
    sweeps_are_hurried: bool = False
    temporal_on_postgres: bool = False

    @property
    def targets(self) -> dict[Target, int]:
        """What is killed, and how often in relation."""
        weights = dict(zip(TARGETS, _WEIGHTS, strict=True))
        return weights | {"temporal_postgres": 2} if self.temporal_on_postgres else weights


def faults(plan: Plan) -> list[Fault]:
    """Draw the faults of a plan in their order; every process is killed at least once."""
    chance = random.Random(plan.seed)
    targets, weights = tuple(plan.targets), tuple(plan.targets.values())
    killed = [*chance.sample(targets, k=len(targets))]
    killed += chance.choices(targets, weights, k=max(0, plan.kills - len(killed)))
    drawn = [Fault(_moment(plan, chance), _kill(target, chance), target) for target in killed[: plan.kills]]
    drawn += [_lasting(plan, chance, "pause", targets, 3.0) for _ in range(plan.kills // 3)]
    links = ("redis", "postgres", "temporal", "proxy")
    drawn += [_lasting(plan, chance, "refuse", links, 3.0) for _ in range(plan.kills // 4)]
    drawn += [_lasting(plan, chance, "hold up", links, 2.5) for _ in range(plan.kills // 6)]
    drawn += [_lasting(plan, chance, "model", MODEL_MOODS, 4.0) for _ in range(plan.kills // 6)]
    return sorted(drawn)


def _moment(plan: Plan, chance: random.Random) -> float:
    return round(chance.uniform(min(_CALM_SECONDS, plan.seconds / 4), plan.seconds), 2)


def _kill(target: Target, chance: random.Random) -> Kind:
    """Let Postgres lose its postmaster alone now and then: its backends notice by themselves."""
    return "kill postmaster" if target == "postgres" and chance.random() < 0.4 else "kill"


def _lasting(plan: Plan, chance: random.Random, kind: Kind, targets: tuple[str, ...], most: float) -> Fault:
    return Fault(_moment(plan, chance), kind, chance.choice(targets), round(chance.uniform(0.3, most), 2))
