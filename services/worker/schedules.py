"""Applies the schedules: idempotent, and an operator's pause survives."""

from dataclasses import replace
from datetime import timedelta

from temporalio.client import (
    Client,
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleAlreadyRunningError,
    ScheduleIntervalSpec,
    ScheduleOverlapPolicy,
    SchedulePolicy,
    ScheduleSpec,
    ScheduleUpdate,
    ScheduleUpdateInput,
)

from activities.steps import NoInput, ReconcileInput
from workflows.names import MEMORY_QUEUE, PROCESS_ROOMS_SCHEDULE, RECONCILE_MEM0_SCHEDULE
from workflows.process_rooms import ProcessRooms
from workflows.reconcile_mem0 import ReconcileMem0

PROCESS_ROOMS_EVERY = timedelta(seconds=30)
RECONCILE_MEM0_EVERY = timedelta(hours=1)


def schedules() -> dict[str, Schedule]:
    """Give the schedules by id."""
    return {
        PROCESS_ROOMS_SCHEDULE: Schedule(
            action=ScheduleActionStartWorkflow(
                ProcessRooms.run, NoInput(), id=PROCESS_ROOMS_SCHEDULE, task_queue=MEMORY_QUEUE
            ),
            spec=ScheduleSpec(intervals=[ScheduleIntervalSpec(every=PROCESS_ROOMS_EVERY)]),
            policy=SchedulePolicy(overlap=ScheduleOverlapPolicy.SKIP, catchup_window=timedelta(minutes=1)),
        ),
        RECONCILE_MEM0_SCHEDULE: Schedule(
            action=ScheduleActionStartWorkflow(
                ReconcileMem0.run, ReconcileInput(), id=RECONCILE_MEM0_SCHEDULE, task_queue=MEMORY_QUEUE
            ),
            spec=ScheduleSpec(intervals=[ScheduleIntervalSpec(every=RECONCILE_MEM0_EVERY)]),
            policy=SchedulePolicy(overlap=ScheduleOverlapPolicy.SKIP, catchup_window=timedelta(minutes=1)),
        ),
    }


async def apply_schedules(client: Client) -> None:
    """Create the schedules, or bring existing ones up to date; the state an operator set is kept."""
    for schedule_id, wanted in schedules().items():
        try:
            await client.create_schedule(schedule_id, wanted)
        except ScheduleAlreadyRunningError:
            await _update(client, schedule_id, wanted)


async def _update(client: Client, schedule_id: str, wanted: Schedule) -> None:
    def keep_state(now: ScheduleUpdateInput) -> ScheduleUpdate:
        return ScheduleUpdate(schedule=replace(wanted, state=now.description.schedule.state))

    await client.get_schedule_handle(schedule_id).update(keep_state)
