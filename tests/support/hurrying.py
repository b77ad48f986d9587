"""Makes an outage short: what waits to be tried again is tried at once, as an operator's reset does it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta

from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.enums.v1 import PendingActivityState
from temporalio.api.workflow.v1 import PendingActivityInfo
from temporalio.api.workflowservice.v1 import ResetActivityRequest
from temporalio.client import Client
from temporalio.service import RPCError

_DIGESTS = "WorkflowType = 'RoomDigest' and ExecutionStatus = 'Running'"


async def waiting_steps(temporal: Client) -> dict[str, PendingActivityInfo]:
    """Give the step of each digest that waits for its next try, by the workflow's id."""
    found = {}
    async for run in temporal.list_workflows(_DIGESTS):
        with suppress(RPCError):  # ended meanwhile
            described = await temporal.get_workflow_handle(run.id).describe()
            for step in described.raw_description.pending_activities:
                if step.state == PendingActivityState.PENDING_ACTIVITY_STATE_SCHEDULED and step.attempt > 1:
                    found[run.id] = step
    return found


def waits_for(step: PendingActivityInfo) -> timedelta:
    return step.scheduled_time.ToDatetime(UTC) - datetime.now(UTC)


async def try_now(temporal: Client, workflow_id: str, step: PendingActivityInfo) -> None:
    with suppress(RPCError):
        await temporal.workflow_service.reset_activity(
            ResetActivityRequest(
                namespace=temporal.namespace,
                execution=WorkflowExecution(workflow_id=workflow_id),
                id=step.activity_id,
            )
        )


@asynccontextmanager
async def hurried(temporal: Client) -> AsyncIterator[None]:
    """Let nothing wait for long while the body runs."""

    async def hurry() -> None:
        while True:
            for workflow_id, step in (await waiting_steps(temporal)).items():
                await try_now(temporal, workflow_id, step)
            await asyncio.sleep(0.2)

    hurrying = asyncio.create_task(hurry())
    try:
        yield
    finally:
        hurrying.cancel()
        await asyncio.gather(hurrying, return_exceptions=True)
