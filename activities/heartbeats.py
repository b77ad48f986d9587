import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from temporalio import activity

HEARTBEAT_SECONDS = 5


@asynccontextmanager
async def heartbeating() -> AsyncIterator[None]:
    """Tell Temporal that the step is alive while the body waits for somebody else's answer."""

    async def beat() -> None:
        while True:
            activity.heartbeat()
            await asyncio.sleep(HEARTBEAT_SECONDS)

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
