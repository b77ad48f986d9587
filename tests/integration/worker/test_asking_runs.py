"""A run that cannot say how far it is goes on all the same, and whoever asked goes on waiting."""

import asyncio

from temporalio import workflow
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from services.cli.output import Output
from services.cli.watching import watched_run
from services.operations.asking_runs import ask_run
from workflows.pacing import Progress

QUEUE = "asked"


@workflow.defn
class Mute:
    """Fails at its query, as a worker with the code of another version does."""

    def __init__(self) -> None:
        self._may_end = False

    @workflow.run
    async def run(self) -> str:
        await workflow.wait_condition(lambda: self._may_end)
        return "ended"

    @workflow.query
    def progress(self) -> Progress:
        raise RuntimeError("not now")

    @workflow.signal
    def end(self) -> None:
        self._may_end = True


async def test_a_query_that_fails_is_no_answer(temporal_address: str, temporal_namespace: str) -> None:
    client = await Client.connect(
        temporal_address, namespace=temporal_namespace, data_converter=pydantic_data_converter
    )
    worker = Worker(client, task_queue=QUEUE, workflows=[Mute], workflow_runner=UnsandboxedWorkflowRunner())
    async with worker, asyncio.timeout(60):
        handle = await client.start_workflow(Mute.run, id="mute", task_queue=QUEUE)
        assert await ask_run(handle, "progress", Progress) is None
        watching = asyncio.create_task(watched_run(Output(as_json=True), handle, run="the run", done="steps"))
        await asyncio.wait([watching], timeout=2)
        assert not watching.done()
        await handle.signal(Mute.end)
        assert await watching == "ended"


async def test_no_worker_is_no_answer(temporal_address: str, temporal_namespace: str) -> None:
    client = await Client.connect(temporal_address, namespace=temporal_namespace)
    handle = await client.start_workflow(Mute.run, id="alone", task_queue=QUEUE)
    assert await ask_run(handle, "progress", Progress) is None
