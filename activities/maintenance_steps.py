"""What the steps of maintenance take and give: ids and counts, never content."""

from pydantic import Field

from activities.steps import Step, StepResult


class CleanedUp(StepResult):
    """How much was removed, by what it was."""

    removed: dict[str, int] = Field(default_factory=dict)

    def plus(self, other: "CleanedUp") -> "CleanedUp":
        names = sorted(self.removed.keys() | other.removed.keys())
        return CleanedUp(removed={name: self.removed.get(name, 0) + other.removed.get(name, 0) for name in names})


class CleanUpInput(Step):
    """`after` is the last part that an earlier run of the same clean-up finished, and `found` what it removed."""

    after: str | None = None
    found: CleanedUp = CleanedUp()


class CleanUpPageInput(Step):
    after: str | None = None


class CleanUpPageResult(StepResult):
    """`is_last` says that every part is finished; else `next_after` is the last one that is."""

    found: CleanedUp = CleanedUp()
    next_after: str | None = None
    is_last: bool = False


class Optimized(StepResult):
    """`dropped` merges were planned and did not hold any more; `analyzed` counts tables.

    `packed` values of the section store were compressed, which saved so many bytes.
    """

    owners: int = 0
    merged: int = 0
    dropped: int = 0
    packed: int = 0
    saved_bytes: int = 0
    analyzed: int = 0

    def plus(self, other: "Optimized") -> "Optimized":
        return Optimized(**{name: getattr(self, name) + getattr(other, name) for name in Optimized.model_fields})


class OptimizeInput(Step):
    """`after` and `found` are how far an earlier run of the same optimisation came."""

    after: str | None = None
    found: Optimized = Optimized()


class OptimizePageInput(Step):
    after: str | None = None


class OptimizePageResult(StepResult):
    """`next_after` is None after the last page."""

    found: Optimized = Optimized()
    next_after: str | None = None


class Synced(StepResult):
    """`rooms` have something in Redis, `counters` were mended; the rest is of the section store's cache."""

    rooms: int = 0
    counters: int = 0
    sections: dict[str, int] = Field(default_factory=dict)

    def plus(self, other: "Synced") -> "Synced":
        names = sorted(self.sections.keys() | other.sections.keys())
        return Synced(
            rooms=self.rooms + other.rooms,
            counters=self.counters + other.counters,
            sections={name: self.sections.get(name, 0) + other.sections.get(name, 0) for name in names},
        )


class SyncInput(Step):
    """`after` and `found` are how far an earlier run of the same synchronisation came."""

    after: str | None = None
    found: Synced = Synced()


class SyncPageInput(Step):
    after: str | None = None


class SyncPageResult(StepResult):
    """`next_after` is None after the last page."""

    found: Synced = Synced()
    next_after: str | None = None


class AnalysisTaken(StepResult):
    """`afterturn stats` shows what the day's analysis counted."""

    day: str
    recommendations: int
