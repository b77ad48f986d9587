"""What operators ask of the room workflows: flush, status, pause of the sweep, a worker without a cache."""

import asyncio
from contextlib import suppress
from typing import Any

import pytest
from afterturn_client.memory_client import MemoryClient
from afterturn_client.names import MEMORY_QUEUE, room_memory_id
from temporalio.api.enums.v1 import EventType
from temporalio.client import WithStartWorkflowOperation, WorkflowHandle
from temporalio.common import WorkflowIDConflictPolicy
from temporalio.service import RPCError

from activities.steps import RoomInput
from services.resources import Resources
from services.worker.run import running_workers
from services.worker.schedules import apply_schedules
from tests.support.rooms import until_digested
from workflows.room_memory import RoomMemory


async def flush(resources: Resources, room_id: str) -> int:
    sequence_number: int = await resources.temporal.execute_update_with_start_workflow(
        "flush",
        result_type=int,
        start_workflow_operation=WithStartWorkflowOperation(
            RoomMemory.run,
            RoomInput(room_id=room_id),
            id=room_memory_id(room_id),
            task_queue=MEMORY_QUEUE,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
        ),
    )
    return sequence_number


async def test_flush_archives_now_and_tells_the_last_number(
    monkeypatch: pytest.MonkeyPatch, resources: Resources, memory: MemoryClient
) -> None:
    monkeypatch.setenv("LINGER_SECONDS", "50")
    async with running_workers():
        assert await flush(resources, "user:1") == 0
        for turn in range(1, 4):
            await memory.record_turn("user:1", user="asks", assistant="hears")
            assert await asyncio.wait_for(flush(resources, "user:1"), 30) == 2 * turn
        many = await asyncio.gather(*(flush(resources, "user:1") for _ in range(5)))
        assert many == [6] * 5


async def test_status_says_what_a_room_waits_for(
    monkeypatch: pytest.MonkeyPatch, resources: Resources, memory: MemoryClient
) -> None:
    monkeypatch.setenv("LINGER_SECONDS", "50")
    async with running_workers():
        await memory.record_turn("user:1", user="asks")
        handle = resources.temporal.get_workflow_handle(room_memory_id("user:1"))
        async with asyncio.timeout(60):
            while not await waits(handle):
                await asyncio.sleep(0.05)
        assert (await handle.query(RoomMemory.status)).step == "waiting"
        assert await flush(resources, "user:1") == 1


async def waits(handle: WorkflowHandle[Any, Any]) -> bool:
    """Tell whether a run has set a timer; it may not have been started yet."""
    with suppress(RPCError):
        events = (await handle.fetch_history()).events
        return any(event.event_type == EventType.EVENT_TYPE_TIMER_STARTED for event in events)
    return False


async def test_everything_is_replayed_at_each_step_when_workflows_are_not_cached(
    monkeypatch: pytest.MonkeyPatch, resources: Resources, memory: MemoryClient
) -> None:
    monkeypatch.setenv("MAX_CACHED_WORKFLOWS", "0")
    async with running_workers():
        for turn in range(3):
            await memory.record_turn("user:1", user=f"asks {turn}", assistant="hears")
            await until_digested(resources, "user:1", 2 * (turn + 1), seconds=90)


async def test_an_operators_pause_survives_when_schedules_are_applied_again(resources: Resources) -> None:
    await apply_schedules(resources.temporal)
    handle = resources.temporal.get_schedule_handle("process-rooms")
    await handle.pause(note="maintenance")
    await apply_schedules(resources.temporal)
    described = await handle.describe()
    assert described.schedule.state.paused
    assert described.schedule.state.note == "maintenance"
