"""A workflow's code changes while its runs wait for a model, by the commands of docs/kubernetes.md."""

import asyncio
import re
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from afterturn_client.memory_client import MemoryClient
from afterturn_client.names import MEMORY_QUEUE, room_digest_id
from temporalio.api.enums.v1 import EventType, TaskQueueType
from temporalio.client import Client

from activities.load_steps import UsersLoaded
from services.embedded.temporal_server import TemporalServer
from services.operations.backfills import Backfills
from services.resources import Resources
from tests.support.changed_digests import LooksFirst, LooksFirstUnpatched
from tests.support.loads import add
from tests.support.openai_server import OpenAIServer, Status
from tests.support.rooms import keys_left, until_digested
from tests.support.servers import running
from tests.support.worker_versions import SoonDrained, builds, documented, has_patch, told, version, waiting

OLD, NEW = "1.4.0", "1.5.0"
ROOMS = [f"user:{number}" for number in range(3)]


@pytest.fixture(scope="module")
def temporal_server(servers_folder: Path) -> Iterator[TemporalServer]:
    with running(SoonDrained(servers_folder / "temporal-versions")) as server:
        yield server


@pytest.mark.slow
async def test_runs_that_wait_move_to_the_new_version_and_none_is_lost(
    resources: Resources, memory: MemoryClient, model: OpenAIServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    await add(resources, "user", 20)
    backfills = Backfills(resources.temporal)
    async with AsyncExitStack() as old_workers:
        await old_workers.enter_async_context(version(resources, monkeypatch, OLD))
        await told(documented("set-current-version", build=OLD))
        await until_they_wait_for_a_model(memory, model)
        load = await backfills.start_all("user", {"batch_size": 5})
        await backfills.pause(load)

        async with version(resources, monkeypatch, NEW, LooksFirst):
            await told(documented("set-ramping-version", build=NEW))
            await told(documented("set-current-version", build=NEW))
            await until_drained(OLD)
            await old_workers.aclose()
            model.fault = None
            await memory.record_turn("user:new", user="asks", assistant="hears")
            for room in [*ROOMS, "user:new"]:
                await until_digested(resources, room, 2)
            await backfills.resume(load)
            ended = await asyncio.wait_for(backfills.wait(load), 60)

    assert ended.state == "done"
    assert ended.result == UsersLoaded(total_users=20, loaded_users=20, failed_users=0, total_memories_created=80)
    for room in ROOMS:
        assert [message.content for message in await resources.rooms.messages(room)] == [f"{room} asks", "hears"]
        assert set(await builds(resources.temporal, room_digest_id(room))) == {OLD, NEW}
        assert not await has_patch(resources.temporal, room_digest_id(room))
    assert set(await builds(resources.temporal, room_digest_id("user:new"))) == {NEW}
    assert await has_patch(resources.temporal, room_digest_id("user:new"))
    assert await keys_left(resources) == []
    assert await unhappy(resources.temporal) == []

    # What a scaler reads: nobody works now, and three rooms wait.
    for room in ROOMS:
        await memory.record_turn(room, user="asks again", assistant="hears")
    async with asyncio.timeout(60):
        while await waiting(resources.temporal, MEMORY_QUEUE, TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW) < len(ROOMS):
            await asyncio.sleep(0.2)


@pytest.mark.proof
async def test_a_version_that_cannot_replay_what_runs_fails_nothing_and_is_taken_back(
    resources: Resources, memory: MemoryClient, model: OpenAIServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with AsyncExitStack() as workers:
        async with version(resources, monkeypatch, ""):
            await until_they_wait_for_a_model(memory, model)
            await workers.enter_async_context(version(resources, monkeypatch, OLD))
            await told(documented("set-current-version", build=OLD))
        async with version(resources, monkeypatch, NEW, LooksFirstUnpatched):
            await told(documented("set-current-version", build=NEW))
            async with asyncio.timeout(60):
                for room in ROOMS:
                    while "TMPRL1100" not in await failures(resources.temporal, room_digest_id(room)):
                        await asyncio.sleep(0.1)
            assert await unhappy(resources.temporal) == []
            await told(documented("set-current-version", build=OLD))
        model.fault = None
        for room in ROOMS:
            await until_digested(resources, room, 2)
    for room in ROOMS:
        assert set(await builds(resources.temporal, room_digest_id(room))) == {"", OLD}
    assert await unhappy(resources.temporal) == []


async def until_they_wait_for_a_model(memory: MemoryClient, model: OpenAIServer) -> None:
    model.fault = Status(503, retry_after="1")
    for room in ROOMS:
        await memory.record_turn(room, user=f"{room} asks", assistant="hears")
    async with asyncio.timeout(60):
        while not all(any(room in str(body) for _, body in model.requests) for room in ROOMS):
            await asyncio.sleep(0.05)


async def until_drained(build: str) -> None:
    async with asyncio.timeout(60):
        while not re.search(r"DrainageStatus +drained", await told(documented("describe-version", build=build))):
            await asyncio.sleep(0.2)


async def unhappy(client: Client) -> list[str]:
    ended_badly = "ExecutionStatus in ('Failed', 'TimedOut', 'Terminated', 'Canceled')"
    return [run.id async for run in client.list_workflows(ended_badly)]


async def failures(client: Client, workflow_id: str) -> str:
    failed = EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED
    events = (await client.get_workflow_handle(workflow_id).fetch_history()).events
    return " ".join(
        event.workflow_task_failed_event_attributes.failure.message for event in events if event.event_type == failed
    )
