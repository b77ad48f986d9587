"""What a storm counted, and which promises it found broken."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from tests.support.storm.afterwards import Histories, Paid
from tests.support.storm.plan import Plan

_SHOWN = 5


@dataclass
class Report:
    plan: Plan
    kills: dict[str, int]
    faults: dict[str, int]
    said: int
    acknowledged: int
    without_ids: int
    repeats: int
    archived: int
    settled_after: float | None
    paid: Paid
    histories: Histories
    drift: int
    memories: int
    # What must be empty, by what it is called.
    wrong: dict[str, list[str]] = field(default_factory=dict)

    def lines(self) -> Iterator[str]:
        plan = self.plan
        yield f"seed {plan.seed}: {plan.rooms} rooms, {plan.seconds:.0f} s"
        yield f"kills: {sum(self.kills.values())} {self.kills}"
        yield f"faults: {self.faults}"
        yield (
            f"messages: {self.said} said ({self.without_ids} without ids), {self.acknowledged} acknowledged,"
            f" {self.repeats} repeated, {self.archived} archived"
        )
        yield f"settled after: {'never' if self.settled_after is None else f'{self.settled_after:.0f} s'}"
        yield (
            f"model: {self.paid.answers} answers, {self.paid.given_again} given again before they could be written"
            f" down, {self.paid.most_for_one} at most for one step of a chunk"
        )
        yield f"memories: {self.memories}, drift {self.drift}"
        runs = self.histories
        yield f"histories: {runs.runs} runs, the longest has {runs.longest} events ({runs.longest_id})"
        for name, found in self.wrong.items():
            yield f"{name}: {len(found)} {found[:_SHOWN] or ''}".rstrip()

    def broken(self) -> list[str]:
        """Give the promises that do not hold; none, if all is well."""
        found = [f"{name}: {len(what)} {what[:_SHOWN]}" for name, what in self.wrong.items() if what]
        if self.settled_after is None:
            found.append("it did not settle")
        if self.drift:
            found.append(f"drift {self.drift}")
        return found
