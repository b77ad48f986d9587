"""Pause, resume, slow and watch: the same for every run that takes hours."""

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from datetime import timedelta
from typing import Annotated, Any, TypeVar

from temporalio import workflow
from temporalio.exceptions import ActivityError

with workflow.unsafe.imports_passed_through():
    from pydantic import Field

    from activities.steps import Step

StepT = TypeVar("StepT")
MaxPerSecond = Annotated[float, Field(ge=0.1, le=1_000_000)]

# How much of a measured speed the newest step makes up.
_NEWEST = 0.3


class RateInput(Step):
    """`null` lifts the limit."""

    max_per_second: MaxPerSecond | None


class Pace(Step):
    """What a run that continues as new hands on: what its operators told it, and how far it is.

    `share` is how much of the work is behind it, from 0 to 1, where that is known otherwise than by counting.
    """

    max_per_second: MaxPerSecond | None = None
    paused: bool = False
    done: int = 0
    failed: int = 0
    total: int | None = None
    share: float | None = None
    per_second: float = 0.0
    share_per_second: float = 0.0


class Progress(Step):
    """How far a run is; `total`, `share` and `eta_seconds` where they are known."""

    done: int
    failed: int
    total: int | None
    share: float | None
    per_second: float
    eta_seconds: float | None
    max_per_second: float | None
    paused: bool


class Paced:
    """Gives a workflow the signals `pause` and `resume`, the update `set_rate` and the query `progress`.

    Its `__init__` calls `start_pacing`. Between two steps `run` awaits `may_go_on`, does the step at
    `pace.max_per_second`, and tells `advance` how far it came; `pace` goes along when it continues as new.
    """

    pace: Pace

    def start_pacing(self, pace: Pace) -> None:
        self.pace = pace
        self._step_began = workflow.time()

    async def may_go_on(self) -> None:
        """Wait while an operator wants the run to pause."""
        self._show()
        await workflow.wait_condition(lambda: not self.pace.paused)
        self._step_began = workflow.time()

    def advance(self, *, done: int, failed: int, total: int | None = None, share: float | None = None) -> None:
        """Say how much is done and failed by now, all in all."""
        before, seconds = self.pace, max(workflow.time() - self._step_began, 0.001)
        if total:
            share = (done + failed) / total
        self.pace = before.model_copy(
            update={
                "done": done,
                "failed": failed,
                "total": total,
                "share": share,
                "per_second": _speed(before.per_second, (done + failed - before.done - before.failed) / seconds),
                "share_per_second": _speed(before.share_per_second, ((share or 0) - (before.share or 0)) / seconds),
            }
        )
        self._show()

    @workflow.signal(description="Stop after the step at work, until told to resume.")
    def pause(self) -> None:
        self._change(paused=True)

    @workflow.signal(description="Go on after a pause.")
    def resume(self) -> None:
        self._change(paused=False)

    @workflow.update(description="Do no more than so many a second from the next step on; null lifts the limit.")
    def set_rate(self, rate: RateInput) -> Progress:
        self._change(max_per_second=rate.max_per_second)
        return self.progress()

    @workflow.query(description="How much is done, failed and left, how fast, and for how long still.")
    def progress(self) -> Progress:
        pace = self.pace
        left = None if pace.share is None else max(0.0, 1 - pace.share)
        eta = left / pace.share_per_second if left is not None and pace.share_per_second > 0 else None
        return Progress(
            done=pace.done,
            failed=pace.failed,
            total=pace.total,
            share=pace.share,
            per_second=round(pace.per_second, 1),
            eta_seconds=None if eta is None else round(eta, 1),
            max_per_second=pace.max_per_second,
            paused=pace.paused,
        )

    def _change(self, **changes: object) -> None:
        self.pace = self.pace.model_copy(update=changes)
        self._show()

    def _show(self) -> None:
        workflow.set_current_details(details_of(self.progress()))


async def ended(step: Coroutine[Any, Any, StepT]) -> StepT:
    """Await a step; a cancellation is raised when the step has ended, however it ended.

    Awaited plainly, a step that succeeds although it was told to stop would have swallowed the run's cancellation.
    """
    task = asyncio.create_task(step)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        task.cancel()
        with suppress(ActivityError, asyncio.CancelledError):
            await task
        raise


def details_of(progress: Progress) -> str:
    """Say it as Temporal's UI shows it, in Markdown."""
    share = "" if progress.share is None else f"**{progress.share:.0%}** · "
    of = "" if progress.total is None else f" of {progress.total:,}"
    facts = [
        f"{share}{progress.done:,}{of} done",
        f"{progress.failed:,} failed",
        f"{progress.per_second:,.0f} a second",
    ]
    if progress.max_per_second is not None:
        facts.append(f"at most {progress.max_per_second:,.4g} a second")
    if progress.paused:
        facts.append("**paused**")
    elif progress.eta_seconds is not None:
        facts.append(f"about {timedelta(seconds=round(progress.eta_seconds))} left")
    return " · ".join(facts)


def _speed(before: float, newest: float) -> float:
    return newest if before == 0 else (1 - _NEWEST) * before + _NEWEST * newest
