"""Shows how far a run of Temporal is until it ends."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from datetime import timedelta
from typing import Any, TypeVar

from rich.progress import Progress as Bars
from rich.progress import TaskID
from temporalio.client import WorkflowFailureError, WorkflowHandle

from services.cli.exit_codes import CommandFailedError
from services.cli.output import Output
from services.operations.asking_runs import ask_run
from workflows.pacing import Progress

_LOOK_SECONDS = 0.5
_NO_WORKER_SECONDS = 15

ResultT = TypeVar("ResultT")


async def watched(
    output: Output,
    ends: Coroutine[Any, Any, ResultT],
    look: Callable[[], Awaitable[Progress | None]],
    *,
    run: str,
    done: str,
) -> ResultT:
    """Show a bar until `ends` gives what came of it. `look` gives None where no worker answers.

    `run` names what runs, `done` what it counts.
    """
    ending = asyncio.create_task(ends)
    try:
        with output.progress() as bars:
            await _watch(output, ending, look, bars, bars.add_task(run, total=None), run, done)
        return await ending
    finally:
        ending.cancel()


async def watched_run(output: Output, handle: WorkflowHandle[Any, ResultT], *, run: str, done: str) -> ResultT:
    """Watch a workflow that answers `progress`. Raises `CommandFailedError` where it did not end well."""

    async def look() -> Progress | None:
        return await ask_run(handle, "progress", Progress)

    try:
        return await watched(output, handle.result(), look, run=run, done=done)
    except WorkflowFailureError as error:
        raise CommandFailedError(f"{handle.id} did not end well: {_why(error)}") from None


def line(seen: Progress, done: str) -> str:
    state = "paused" if seen.paused else f"{seen.per_second:.0f}/s"
    left = "" if seen.eta_seconds is None or seen.paused else f", {timedelta(seconds=round(seen.eta_seconds))} left"
    return f"{seen.done} {done} ({state}{left})"


def how_to_steer(workflow_id: str) -> str:
    return (
        f"watch it with `temporal workflow query --workflow-id {workflow_id} --type progress`, "
        f"cancel it with `temporal workflow cancel --workflow-id {workflow_id}`"
    )


async def _watch(
    output: Output,
    ending: asyncio.Task[ResultT],
    look: Callable[[], Awaitable[Progress | None]],
    bars: Bars,
    bar: TaskID,
    run: str,
    done: str,
) -> None:
    loop = asyncio.get_running_loop()
    answered, told = loop.time(), False
    while not ending.done():
        await asyncio.wait([ending], timeout=_LOOK_SECONDS)
        if seen := await look():
            answered = loop.time()
            _show(bars, bar, seen, done)
        elif loop.time() - answered > _NO_WORKER_SECONDS and not told and not ending.done():
            told = True
            output.note(f"no worker answers; {run} goes on when one does (`afterturn worker`)")


def _show(bars: Bars, bar: TaskID, seen: Progress, done: str) -> None:
    if seen.total is not None:
        bars.update(bar, completed=seen.done + seen.failed, total=seen.total)
    elif seen.share is not None:
        bars.update(bar, completed=100 * seen.share, total=100)
    bars.update(bar, description=line(seen, done))


def _why(error: BaseException) -> str:
    while error.__cause__ is not None:
        error = error.__cause__
    return str(error)
