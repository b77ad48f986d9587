"""What Temporal says of our schedules, for `/metrics`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Self

from afterturn_client.errors import PayloadKeyError
from temporalio.client import Client, ScheduleListDescription, WorkflowFailureError
from temporalio.service import RPCError

from activities.steps import Mem0Drift
from workflows.names import (
    ANALYZE_MEMORY_SCHEDULE,
    CLEAN_UP_MEMORY_SCHEDULE,
    OPTIMIZE_MEMORY_SCHEDULE,
    PROCESS_ROOMS_SCHEDULE,
    RECONCILE_MEM0_SCHEDULE,
    SYNC_MEMORY_SCHEDULE,
)

_OURS = {
    PROCESS_ROOMS_SCHEDULE,
    RECONCILE_MEM0_SCHEDULE,
    CLEAN_UP_MEMORY_SCHEDULE,
    OPTIMIZE_MEMORY_SCHEDULE,
    SYNC_MEMORY_SCHEDULE,
    ANALYZE_MEMORY_SCHEDULE,
}
_RECONCILED = 'WorkflowType = "ReconcileMem0" and ExecutionStatus = "Completed"'
DRIFTS = ("missing_in_mem0", "missing_in_brain", "texts_differ", "duplicates")


@dataclass(frozen=True, slots=True)
class ScheduleSeen:
    """Seconds; None where it has not run yet, or runs at other times than by one interval."""

    name: str
    since_last_run: float | None
    every: float | None
    is_paused: bool

    @classmethod
    def of(cls, listed: ScheduleListDescription) -> Self:
        ran = listed.info.recent_actions if listed.info else ()
        intervals = listed.schedule.spec.intervals if listed.schedule else ()
        return cls(
            listed.id,
            (datetime.now(UTC) - ran[-1].started_at).total_seconds() if ran else None,
            intervals[0].every.total_seconds() if len(intervals) == 1 else None,
            listed.schedule is not None and listed.schedule.state.paused,
        )


@dataclass(frozen=True, slots=True)
class SchedulesSeen:
    """`drift` is None where Mem0 was not compared yet."""

    schedules: Sequence[ScheduleSeen]
    drift: Mapping[str, int] | None


async def read_schedules(client: Client) -> SchedulesSeen:
    seen = [ScheduleSeen.of(one) async for one in await client.list_schedules() if one.id in _OURS]
    return SchedulesSeen(seen, await _drift(client))


async def _drift(client: Client) -> Mapping[str, int] | None:
    """Give what the last comparison that came to its end found, by schedule or by hand: the newest is listed first."""
    async for run in client.list_workflows(_RECONCILED, limit=1):
        handle = client.get_workflow_handle(run.id, run_id=run.run_id, result_type=Mem0Drift)
        try:
            found = await handle.result(follow_runs=False)
        except (WorkflowFailureError, RPCError, PayloadKeyError):
            # It is forgotten by now, or cannot be read here.
            return None
        return {kind: getattr(found, kind) for kind in DRIFTS}
    return None
