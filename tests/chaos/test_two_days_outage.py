"""Promises 3 and 4: the model is away for two days and comes back raggedly; only the poison is set aside."""

import asyncio
import json
import random
from datetime import timedelta
from typing import Any

import pytest
from afterturn_client.memory_client import MemoryClient
from afterturn_client.names import MEMORY_QUEUE, ROOM_MEMORY, room_memory_id
from sqlalchemy import text
from temporalio.client import WithStartWorkflowOperation
from temporalio.common import WorkflowIDConflictPolicy

from activities.steps import RoomInput
from services.resources import Resources
from tests.support.hurrying import hurried, try_now, waiting_steps, waits_for
from tests.support.openai_server import Fault, OpenAIServer, Status
from tests.support.rooms import keys_left, until_digested
from tests.support.storm.afterwards import histories

ROOMS = [f"user:{number}" for number in range(4)]
POISONED = ROOMS[2]
TALKED_IN = ROOMS[0]
TURNS = 3
# The model asks to be left alone for so long each time: two days in all.
HOURS_APART, TIMES = 6, 8
# So often a request still fails when the model is coming back.
RAGGED = 0.5
RAGGED_SECONDS = 6
# Somebody goes on talking all the time: so many bursts between two tries.
BURSTS = 8
SEED = 7


async def pass_two_days(resources: Resources, memory: MemoryClient) -> set[timedelta]:
    """Let every digest try again whenever it may, and people talk; answer for how long each of them meant to wait."""
    waited = set()
    for number in range(TIMES):
        await talk(resources, memory, [f"goes on {number}.{burst}" for burst in range(BURSTS)])
        steps = await until_all_wait(resources)
        waited |= {round_up(waits_for(step)) for step in steps.values()}
        await asyncio.gather(*(try_now(resources.temporal, run, step) for run, step in steps.items()))
    return waited


async def talk(resources: Resources, memory: MemoryClient, said: list[str]) -> None:
    """Let somebody speak in a room, each time a burst of its own."""
    for one in said:
        await memory.record_turn(TALKED_IN, user=one)
        start: WithStartWorkflowOperation[Any, Any] = WithStartWorkflowOperation(
            ROOM_MEMORY,
            RoomInput(room_id=TALKED_IN),
            id=room_memory_id(TALKED_IN),
            task_queue=MEMORY_QUEUE,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
        )
        await resources.temporal.execute_update_with_start_workflow("flush", start_workflow_operation=start)


async def until_all_wait(resources: Resources) -> dict[str, Any]:
    async with asyncio.timeout(30):
        while True:
            steps = await waiting_steps(resources.temporal)
            if len(steps) == len(ROOMS) and all(waits_for(step) > timedelta(minutes=1) for step in steps.values()):
                return steps
            await asyncio.sleep(0.02)


async def split_rooms(resources: Resources) -> set[str]:
    """Give the rooms of which a chunk was suspected and split."""
    async with resources.database.transaction() as session:
        return set(await session.scalars(text("select room_id from chunks where state = 'split'")))


def round_up(wait: timedelta) -> timedelta:
    return timedelta(minutes=-(-wait // timedelta(minutes=1)))


def ragged(seed: int) -> Any:
    chance = random.Random(seed)

    def refuses(request: dict[str, Any]) -> Fault | None:
        return Status(500) if is_poison(request) or chance.random() < RAGGED else None

    return refuses


def is_poison(request: dict[str, Any]) -> bool:
    return "poison" in json.dumps(request)


@pytest.fixture
def a_chunk_a_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHUNK_MESSAGES", "6")


@pytest.mark.chaos
@pytest.mark.proof
@pytest.mark.timeout(240)
async def test_after_two_days_only_the_poison_is_quarantined(
    a_chunk_a_turn: None,
    worker: None,
    resources: Resources,
    memory: MemoryClient,
    model: OpenAIServer,
) -> None:
    model.fault = Status(503, retry_after=str(HOURS_APART * 3600))
    for turn in range(TURNS):
        for room in ROOMS:
            poison = "the poison " if (room, turn) == (POISONED, TURNS // 2) else ""
            await memory.record_turn(room, user=f"asks {poison}{turn}", assistant=f"hears {turn}")
    asked = sum(model.calls.values())
    assert await pass_two_days(resources, memory) == {timedelta(hours=HOURS_APART)}
    assert sum(model.calls.values()) - asked >= TIMES * len(ROOMS)
    assert await keys_left(resources) == []
    assert await resources.quarantine.list_open() == []

    model.refuses, model.fault = ragged(SEED), None
    async with hurried(resources.temporal):
        await asyncio.sleep(RAGGED_SECONDS)
        model.refuses = lambda request: Status(500) if is_poison(request) else None
        for room in ROOMS:
            more = TIMES * BURSTS if room == TALKED_IN else 0
            await until_digested(resources, room, 2 * TURNS + more, seconds=120)
    [item] = await resources.quarantine.list_open()
    assert (item.kind, item.reason, item.room_id) == ("chunk", "model_fails", POISONED)
    assert await split_rooms(resources) == {POISONED}
    states = [receipt.state for receipt in await resources.rooms.receipts(POISONED)]
    assert states.count("quarantined") == 1
    ran = await histories(resources.temporal)
    assert (ran.too_long, ran.failed) == ([], [])
