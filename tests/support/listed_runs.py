"""What Temporal lists: of a start or an end it is told there a moment later than whoever asks for the run itself."""

import asyncio

from temporalio.client import Client, WorkflowExecution


async def listed_runs(client: Client, *ids: str) -> list[WorkflowExecution]:
    """Give every run, once those with these ids are among them."""
    async with asyncio.timeout(60):
        while True:
            runs = [run async for run in client.list_workflows()]
            if {run.id for run in runs} >= set(ids):
                return runs
            await asyncio.sleep(0.1)


async def until_listed(client: Client, query: str) -> list[WorkflowExecution]:
    """Give the runs of a query once there are any."""
    async with asyncio.timeout(60):
        while not (runs := [run async for run in client.list_workflows(query)]):
            await asyncio.sleep(0.1)
    return runs


async def until_listed_as_ended(client: Client, workflow_id: str) -> None:
    """Wait until whoever lists what runs does not find it any more."""
    running = f"WorkflowId = '{workflow_id}' AND ExecutionStatus = 'Running'"
    async with asyncio.timeout(60):
        while [run async for run in client.list_workflows(running)]:
            await asyncio.sleep(0.05)


async def goes_on_from(client: Client, workflow_id: str) -> str:
    """Name the run that the newest one with this id has continued; none where it is the first."""
    history = await client.get_workflow_handle(workflow_id).fetch_history()
    started = history.events[0].workflow_execution_started_event_attributes
    return str(started.continued_execution_run_id)
