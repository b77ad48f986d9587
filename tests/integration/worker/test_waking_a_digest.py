"""A digest that waits for days is told of every burst, until Temporal takes no more."""

import asyncio

import pytest
from afterturn_client.names import MEMORY_QUEUE, ROOM_DIGEST
from temporalio import activity, workflow
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from activities.steps import ArchiveInput, ArchiveResult, ClaimInput, ClaimResult, RoomInput
from activities.waking_digests import DigestWaker
from tests.support.servers import FewSignals, short_folder
from workflows.room_memory import RoomMemory

ROOM = "room:busy"
BURSTS = 6


@workflow.defn(name=ROOM_DIGEST)
class WaitingDigest:
    """Waits for a model that does not come back."""

    @workflow.run
    async def run(self, input: RoomInput) -> None:  # noqa: A002, ARG002
        await workflow.wait_condition(lambda: False)

    @workflow.signal
    def messages_archived(self) -> None:
        """Be told."""


class Bursts:
    """Has one claim for each run, and archives it."""

    def __init__(self, client: Client) -> None:
        self._digests = DigestWaker(client)
        self._runs: set[str] = set()

    @activity.defn
    async def claim(self, input: ClaimInput) -> ClaimResult:  # noqa: A002, ARG002
        run = activity.info().workflow_run_id or ""
        claim = None if run in self._runs else "claim"
        self._runs.add(run)
        return ClaimResult(claim=claim)

    @activity.defn
    async def archive(self, input: ArchiveInput) -> ArchiveResult:  # noqa: A002
        woken = await self._digests.wake(input.room_id)
        return ArchiveResult(
            added=1, repeated=0, quarantined=0, last_seq=1, released=True, next_claim=None, digest_is_woken=woken
        )


@pytest.mark.slow
async def test_a_digest_that_cannot_be_told_again_holds_up_no_turns() -> None:
    with short_folder() as folder:
        async with FewSignals(folder / "temporal") as server:
            client = await Client.connect(server.address, data_converter=pydantic_data_converter)
            bursts = Bursts(client)
            worker = Worker(
                client,
                task_queue=MEMORY_QUEUE,
                workflows=[RoomMemory, WaitingDigest],
                activities=[bursts.claim, bursts.archive],
                workflow_runner=UnsandboxedWorkflowRunner(),
            )
            async with worker, asyncio.timeout(120):
                for number in range(BURSTS):
                    run = await client.start_workflow(
                        RoomMemory.run, RoomInput(room_id=ROOM), id=f"burst-{number}", task_queue=MEMORY_QUEUE
                    )
                    assert (await run.result()).step == "done"
                    assert (await run.describe()).history_length < 100
