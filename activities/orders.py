"""What operators want of a long run while one of its steps is at work."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from typing import Any

from pydantic import BaseModel
from temporalio import activity
from temporalio.client import Client, WorkflowHandle, WorkflowQueryFailedError
from temporalio.service import RPCError

LOOK_SECONDS = 1.0
_ANSWER = timedelta(seconds=2)


class _Answer(BaseModel):
    paused: bool
    max_per_second: float | None


class Orders:
    """The newest that is known: whether to stop, and the rate."""

    def __init__(self, max_per_second: float | None) -> None:
        self.paused = False
        self.max_per_second = max_per_second


@asynccontextmanager
async def following(temporal: Client, max_per_second: float | None) -> AsyncIterator[Orders]:
    """Ask the run of this step, again and again, how it is told to go on; it costs no event."""
    orders = Orders(max_per_second)
    info = activity.info()
    handle = temporal.get_workflow_handle(info.workflow_id or "", run_id=info.workflow_run_id)
    looking = asyncio.create_task(_look(handle, orders))
    try:
        yield orders
    finally:
        looking.cancel()
        with suppress(asyncio.CancelledError):
            await looking


async def _look(handle: WorkflowHandle[Any, Any], orders: Orders) -> None:
    while True:
        await asyncio.sleep(LOOK_SECONDS)
        # A run that does not answer now goes on as it did.
        with suppress(RPCError, WorkflowQueryFailedError):
            answer = await handle.query("progress", result_type=_Answer, rpc_timeout=_ANSWER)
            orders.paused, orders.max_per_second = answer.paused, answer.max_per_second
