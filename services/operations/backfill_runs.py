"""The runs of loads that Temporal still knows."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from afterturn_client.rooms import is_id
from temporalio.client import Client, WorkflowExecutionStatus

from services.domain.memories import OwnerType
from services.temporal import query_list
from workflows.names import (
    LOAD_ALL_COMPANIES_MEMORIES,
    LOAD_ALL_USERS_MEMORIES,
    LOAD_COMPANY_MEMORIES,
    LOAD_USER_MEMORIES,
    load_all_memories_id,
    load_memories_id,
)

RunState = Literal["running", "done", "failed", "cancelled", "terminated"]

_TYPES = (LOAD_ALL_COMPANIES_MEMORIES, LOAD_ALL_USERS_MEMORIES, LOAD_COMPANY_MEMORIES, LOAD_USER_MEMORIES)
_STATES: dict[WorkflowExecutionStatus, RunState] = {
    WorkflowExecutionStatus.RUNNING: "running",
    WorkflowExecutionStatus.COMPLETED: "done",
    WorkflowExecutionStatus.CANCELED: "cancelled",
    WorkflowExecutionStatus.TERMINATED: "terminated",
    WorkflowExecutionStatus.FAILED: "failed",
    WorkflowExecutionStatus.TIMED_OUT: "failed",
}


@dataclass(frozen=True, slots=True)
class BackfillRun:
    """One run of a load. Whether one that runs is paused, only it can say."""

    id: str
    run_id: str
    state: RunState
    started_at: datetime
    ended_at: datetime | None


async def backfill_runs(temporal: Client, *, limit: int, ids: Sequence[str] | None = None) -> list[BackfillRun]:
    """List what runs, then what ended last; of some loads only where `ids` names them."""
    # What continued as new goes on in a later run.
    wanted = f"WorkflowType IN {query_list(_TYPES)} AND ExecutionStatus != 'ContinuedAsNew'"
    if ids is not None:
        named = [id_ for id_ in ids if is_backfill(id_)]
        if not named:
            return []
        wanted += f" AND WorkflowId IN {query_list(named)}"
    return [
        BackfillRun(run.id, run.run_id, run_state(run.status), run.start_time, run.close_time)
        async for run in temporal.list_workflows(wanted, limit=limit)
    ]


def run_state(status: WorkflowExecutionStatus | None) -> RunState:
    return _STATES.get(status, "failed") if status is not None else "running"


def is_backfill(backfill_id: str) -> bool:
    """Whether a load may have this id. One that has holds nothing that a query would read as its own."""
    kinds: tuple[OwnerType, ...] = ("company", "user")
    _, _, owner_id = backfill_id.partition(":")
    of_one = is_id(owner_id) and backfill_id in [load_memories_id(kind, owner_id) for kind in kinds]
    return of_one or backfill_id in [load_all_memories_id(kind) for kind in kinds]
