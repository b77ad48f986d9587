"""Schedules are applied again and again; what an operator set stays, and what is ours follows our defaults."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from temporalio.client import (
    Client,
    ScheduleActionStartWorkflow,
    ScheduleIntervalSpec,
    ScheduleSpec,
    ScheduleUpdate,
    ScheduleUpdateInput,
)

from services import temporal
from services.worker.schedules import APPLIED_EVERY, apply_schedules, schedules, seconds_of
from workflows.names import CLEAN_UP_MEMORY_SCHEDULE

HOUR = 3_600.0
WANTED = {
    "process-rooms": 30,
    "reconcile-mem0": HOUR,
    "clean-up-memory": HOUR,
    "sync-memory": HOUR / 2,
    "optimize-memory": 6 * HOUR,
    "analyze-memory": 24 * HOUR,
}


@pytest.fixture
async def client(environment: None) -> Client:
    return await temporal.connect()


async def every(client: Client, schedule_id: str) -> float | None:
    return seconds_of((await client.get_schedule_handle(schedule_id).describe()).schedule.spec)


async def set_every(client: Client, schedule_id: str, interval: timedelta) -> None:
    """As an operator does it: by Temporal's UI or CLI."""

    def changed(now: ScheduleUpdateInput) -> ScheduleUpdate:
        spec = ScheduleSpec(intervals=[ScheduleIntervalSpec(every=interval)])
        return ScheduleUpdate(schedule=replace(now.description.schedule, spec=spec))

    await client.get_schedule_handle(schedule_id).update(changed)


async def test_all_are_there_when_several_workers_apply_them_at_once(client: Client) -> None:
    await asyncio.gather(*(apply_schedules(client) for _ in range(4)))
    assert {schedule_id: await every(client, schedule_id) for schedule_id in schedules()} == WANTED


async def test_an_operators_pause_and_interval_survive(client: Client) -> None:
    await apply_schedules(client)
    handle = client.get_schedule_handle(CLEAN_UP_MEMORY_SCHEDULE)
    await handle.pause(note="maintenance")
    await set_every(client, CLEAN_UP_MEMORY_SCHEDULE, timedelta(minutes=7))
    for _ in range(3):
        await apply_schedules(client)
    described = (await handle.describe()).schedule
    assert (described.state.paused, described.state.note) == (True, "maintenance")
    assert await every(client, CLEAN_UP_MEMORY_SCHEDULE) == 7 * 60
    # Given back what we want, it follows our defaults again.
    await set_every(client, CLEAN_UP_MEMORY_SCHEDULE, timedelta(hours=1))
    await apply_schedules(client)
    assert await every(client, CLEAN_UP_MEMORY_SCHEDULE) == HOUR


async def older_release(client: Client, *, noted: bool) -> Any:
    """A release before this one wanted a clean-up every two hours; `noted` says that it knew to note that."""
    wanted = schedules()[CLEAN_UP_MEMORY_SCHEDULE]
    action = wanted.action
    assert isinstance(action, ScheduleActionStartWorkflow)
    action.memo = {APPLIED_EVERY: 2 * HOUR} if noted else None
    spec = ScheduleSpec(intervals=[ScheduleIntervalSpec(every=timedelta(hours=2))])
    return await client.create_schedule(CLEAN_UP_MEMORY_SCHEDULE, replace(wanted, spec=spec))


async def test_a_new_default_replaces_our_old_one(client: Client) -> None:
    await older_release(client, noted=True)
    await apply_schedules(client)
    assert await every(client, CLEAN_UP_MEMORY_SCHEDULE) == HOUR


async def test_a_new_default_leaves_the_operators_interval_alone(client: Client) -> None:
    await older_release(client, noted=True)
    await set_every(client, CLEAN_UP_MEMORY_SCHEDULE, timedelta(minutes=7))
    for _ in range(2):
        await apply_schedules(client)
        assert await every(client, CLEAN_UP_MEMORY_SCHEDULE) == 7 * 60


async def test_where_nothing_was_noted_another_interval_is_taken_for_the_operators(client: Client) -> None:
    await older_release(client, noted=False)
    for _ in range(2):
        await apply_schedules(client)
        assert await every(client, CLEAN_UP_MEMORY_SCHEDULE) == 2 * HOUR


async def test_what_a_schedule_starts_can_read_its_input(client: Client) -> None:
    await apply_schedules(client)
    for schedule_id, wanted in schedules().items():
        described = (await client.get_schedule_handle(schedule_id).describe()).schedule
        assert isinstance(described.action, ScheduleActionStartWorkflow)
        assert isinstance(wanted.action, ScheduleActionStartWorkflow)
        assert described.action.workflow == wanted.action.workflow
        assert described.policy == wanted.policy
