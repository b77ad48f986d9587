"""The schedules, and how they are applied: again and again, by several workers at once; what an operator set stays."""

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

from pydantic import BaseModel
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

from activities.maintenance_steps import CleanUpInput, OptimizeInput, SyncInput
from activities.steps import NoInput, ReconcileInput
from workflows.names import (
    ANALYZE_MEMORY_SCHEDULE,
    CLEAN_UP_MEMORY_SCHEDULE,
    MEMORY_QUEUE,
    OPTIMIZE_MEMORY_SCHEDULE,
    PROCESS_ROOMS_SCHEDULE,
    RECONCILE_MEM0_SCHEDULE,
    SYNC_MEMORY_SCHEDULE,
)

# By schedule: the workflow, its input, and how often it runs.
_PLAN: dict[str, tuple[str, BaseModel, timedelta]] = {
    PROCESS_ROOMS_SCHEDULE: ("ProcessRooms", NoInput(), timedelta(seconds=30)),
    RECONCILE_MEM0_SCHEDULE: ("ReconcileMem0", ReconcileInput(), timedelta(hours=1)),
    CLEAN_UP_MEMORY_SCHEDULE: ("CleanUpMemory", CleanUpInput(), timedelta(hours=1)),
    SYNC_MEMORY_SCHEDULE: ("SyncMemory", SyncInput(), timedelta(minutes=30)),
    OPTIMIZE_MEMORY_SCHEDULE: ("OptimizeMemory", OptimizeInput(), timedelta(hours=6)),
    ANALYZE_MEMORY_SCHEDULE: ("AnalyzeMemory", NoInput(), timedelta(days=1)),
}
# In the memo of what a schedule starts, which changes with it: how often we last wanted it to run, and a mark of all.
APPLIED_EVERY, _APPLIED = "afterturn_every_seconds", "afterturn_applied"


def schedules() -> dict[str, Schedule]:
    """Give the schedules by id, as we want them."""
    return {id_: _schedule(id_, *planned) for id_, planned in _PLAN.items()}


async def apply_schedules(client: Client) -> None:
    """Create the schedules, or bring existing ones up to date.

    An operator's pause stays, and so does an interval of the operator's own: one that is not the one we last wanted.
    """
    for schedule_id, wanted in schedules().items():
        try:
            await client.create_schedule(schedule_id, wanted)
        except ScheduleAlreadyRunningError:
            await _update(client, schedule_id, wanted)


async def applied_every(client: Client, schedule: Schedule) -> float | None:
    """Tell how often we last wanted a described schedule to run, in seconds; None where it says nothing."""
    return (await _memo(client, schedule)).get(APPLIED_EVERY)


def seconds_of(spec: ScheduleSpec) -> float | None:
    """Give how often a schedule runs; None where that is not one plain interval."""
    others = (spec.calendars, spec.cron_expressions, spec.skip, spec.start_at, spec.end_at, spec.jitter)
    if any(others) or len(spec.intervals) != 1 or spec.intervals[0].offset:
        return None
    return spec.intervals[0].every.total_seconds()


def _schedule(id_: str, workflow: str, given: BaseModel, every: timedelta) -> Schedule:
    policy = SchedulePolicy(overlap=ScheduleOverlapPolicy.SKIP, catchup_window=timedelta(minutes=1))
    written = f"{workflow}\n{given.model_dump_json()}\n{MEMORY_QUEUE}\n{every}\n{policy}"
    memo = {APPLIED_EVERY: every.total_seconds(), _APPLIED: hashlib.sha256(written.encode()).hexdigest()}
    return Schedule(
        action=ScheduleActionStartWorkflow(workflow, given, id=id_, task_queue=MEMORY_QUEUE, memo=memo),
        spec=ScheduleSpec(intervals=[ScheduleIntervalSpec(every=every)]),
        policy=policy,
    )


async def _update(client: Client, schedule_id: str, wanted: Schedule) -> None:
    """Bring a schedule up to date; one that is needs no update, which could cross an operator's."""

    async def brought_up_to_date(now: ScheduleUpdateInput) -> ScheduleUpdate | None:
        stands = now.description.schedule
        memo, wanted_memo = await _memo(client, stands), _own_memo(wanted)
        every, ours = seconds_of(stands.spec), memo.get(APPLIED_EVERY, wanted_memo[APPLIED_EVERY])
        is_operators = every != ours
        if memo == wanted_memo and (is_operators or every == wanted_memo[APPLIED_EVERY]):
            return None
        spec = stands.spec if is_operators else wanted.spec
        return ScheduleUpdate(schedule=replace(wanted, state=stands.state, spec=spec))

    await client.get_schedule_handle(schedule_id).update(brought_up_to_date)


async def _memo(client: Client, schedule: Schedule) -> Mapping[str, Any]:
    """Read what we noted in the memo of what the schedule starts; a described one holds it encoded."""
    action = schedule.action
    if not isinstance(action, ScheduleActionStartWorkflow):
        return {}
    found = {name: payload for name, payload in (action.memo or {}).items() if name in (APPLIED_EVERY, _APPLIED)}
    values = await client.data_converter.decode(list(found.values()))
    return dict(zip(found, values, strict=True))


def _own_memo(wanted: Schedule) -> Mapping[str, Any]:
    action = wanted.action
    return dict(action.memo or {}) if isinstance(action, ScheduleActionStartWorkflow) else {}
