import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

from temporalio import activity

HEARTBEAT_SECONDS = 5


@asynccontextmanager
async def heartbeating(state: Callable[[], object] | None = None) -> AsyncIterator[None]:
    """Tell Temporal that the step is alive while the body waits for somebody else's answer.

    A step that is done within seconds tells nothing: each time is an action of Temporal. With `state`, tell how far it
    is, too: `activity.info().heartbeat_details` gives that to the next attempt.
    """

    async def beat() -> None:
        while True:
            await asyncio.sleep(HEARTBEAT_SECONDS)
            activity.heartbeat(*([state()] if state else []))

    beats = asyncio.create_task(beat())
    try:
        yield
    finally:
        beats.cancel()
        with suppress(asyncio.CancelledError):
            await beats


def run_id() -> str:
    """Name the run that does a step: it stands in receipts and beside everything that the run wrote."""
    info = activity.info()
    return f"{info.workflow_id}/{info.workflow_run_id}"
