"""`afterturn replay` tells before a deploy which open runs the new code cannot take up, and changes none."""

import asyncio

from afterturn_client.memory_client import MemoryClient
from afterturn_client.names import room_digest_id
from temporalio.client import WorkflowExecutionStatus

from services.resources import Resources
from services.worker.queues import WORKFLOWS
from services.worker.replaying import replay_runs
from tests.support.changed_digests import LooksFirst, LooksFirstUnpatched
from tests.support.command_line import CommandLine
from tests.support.listed_runs import until_listed
from tests.support.openai_server import OpenAIServer, Status
from workflows.room_digest import RoomDigest


def with_digest(digest: type) -> list[type]:
    return [digest if workflow is RoomDigest else workflow for workflow in WORKFLOWS]


async def test_what_cannot_go_on_is_named_before_it_is_deployed(
    worker: None, resources: Resources, memory: MemoryClient, model: OpenAIServer, afterturn: CommandLine
) -> None:
    model.fault = Status(503)
    await memory.record_turn("user:42", user="I moved to Lima", assistant="Noted!")
    digest = resources.temporal.get_workflow_handle(room_digest_id("user:42"))
    async with asyncio.timeout(60):
        while not model.calls:
            await asyncio.sleep(0.1)
    await until_listed(resources.temporal, "WorkflowType = 'RoomDigest' and ExecutionStatus = 'Running'")
    await until_listed(resources.temporal, "ExecutionStatus != 'Running'")
    told = await afterturn("replay", "--json")
    assert (told.code, told.document["faulty"]) == (0, []), told
    assert told.document["open"] >= 1
    assert told.document["ended"] >= 1

    good = [one async for one in replay_runs(resources.temporal, ended=0, workflows=with_digest(LooksFirst))]
    assert [one.fault for one in good if one.type == "RoomDigest"] == [None]
    bad = [one async for one in replay_runs(resources.temporal, ended=0, workflows=with_digest(LooksFirstUnpatched))]
    [stopped] = [one for one in bad if one.fault]
    assert (stopped.workflow_id, stopped.is_open) == (room_digest_id("user:42"), True)
    assert "Lima" not in str(stopped)
    assert (await digest.describe()).status is WorkflowExecutionStatus.RUNNING
