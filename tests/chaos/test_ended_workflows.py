"""Promise 3: a workflow is terminated or cancelled at every step; what it took is still archived and released."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from afterturn_client.memory_client import MemoryClient
from afterturn_client.names import room_digest_id, room_memory_id

from services import temporal
from services.resources import Resources
from services.worker.run import serving
from tests.support.memories_kept import kept
from tests.support.rooms import keys_left, until_digested
from tests.support.steps import OF_ROOM_MEMORY, POINTS, Gates, Point, watch

TURNS = 3


@pytest.fixture
async def gates(resources: Resources) -> AsyncIterator[Gates]:
    held = Gates()
    async with serving(watch(resources, held.action), await temporal.connect()):
        yield held


def workflow_of(room: str, where: Point) -> str:
    return room_memory_id(room) if where.client in OF_ROOM_MEMORY else room_digest_id(room)


@pytest.mark.chaos
@pytest.mark.timeout(600)
@pytest.mark.parametrize("how", ["terminate", "cancel"])
async def test_a_workflow_that_is_ended_at_any_step_loses_and_doubles_nothing(
    how: str, gates: Gates, resources: Resources, memory: MemoryClient
) -> None:
    rooms = {f"room:{where}": where for where in POINTS}
    asks = [f"asks {turn}. I live in Lima." for turn in range(TURNS)]

    async def end_one(room: str, where: Point) -> None:
        workflow_id = workflow_of(room, where)
        gates.hold(workflow_id, where)
        for turn in range(TURNS):
            await memory.record_turn(room, user=asks[turn], assistant=f"hears {turn}", user_id=str(where))
        await asyncio.wait_for(gates.reached[workflow_id].wait(), 120)
        handle = resources.temporal.get_workflow_handle(workflow_id)
        await (handle.terminate() if how == "terminate" else handle.cancel())
        gates.open[workflow_id].set()
        await until_digested(resources, room, 2 * TURNS, seconds=120)

    await asyncio.gather(*(end_one(room, where) for room, where in rooms.items()))

    expected = [said for turn in range(TURNS) for said in (asks[turn], f"hears {turn}")]
    for room, where in rooms.items():
        assert [message.content for message in await resources.rooms.messages(room)] == expected
        assert [one.slug for one in await resources.brain.get_all_by_user(str(where))] == ["home"]
    assert (await kept(resources.database)).agrees()
    assert await keys_left(resources) == []
    assert await resources.quarantine.list_open() == []


@pytest.mark.chaos
async def test_a_cancelled_room_is_archived_and_released_before_it_ends(
    gates: Gates, resources: Resources, memory: MemoryClient
) -> None:
    where = Point("archive", "add", "before")
    gates.hold(room_memory_id("user:1"), where)
    await memory.record_turn("user:1", user="asks", assistant="hears")
    await asyncio.wait_for(gates.reached[room_memory_id("user:1")].wait(), 30)
    handle = resources.temporal.get_workflow_handle(room_memory_id("user:1"))
    await handle.cancel()
    gates.open[room_memory_id("user:1")].set()
    with pytest.raises(Exception, match="Workflow execution failed"):
        await handle.result()
    assert [key for key in await keys_left(resources) if b"claim" in key or b"pointer" in key] == []
    assert len(await resources.rooms.messages("user:1")) == 2
