"""Finds what Temporal has under way, or believes to be done, of which a restored Postgres knows nothing."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from temporalio.client import Client, WorkflowExecution, WorkflowExecutionStatus
from temporalio.common import WorkflowIDConflictPolicy
from temporalio.service import RPCError, RPCStatusCode

from activities.steps import NoInput, ReconcileInput, Step
from services.temporal import query_list
from workflows.names import (
    FORGET_OWNER,
    IMPORT_HISTORY,
    LOAD_ALL_COMPANIES_MEMORIES,
    LOAD_ALL_USERS_MEMORIES,
    LOAD_COMPANY_MEMORIES,
    LOAD_USER_MEMORIES,
    MEMORY_QUEUE,
    PROCESS_ROOMS,
    RECONCILE_MEM0,
    REEMBED,
)

# Each remembers by itself how far it came, and would leave out what Postgres has lost.
_GOES_BY_CURSOR = (
    IMPORT_HISTORY,
    LOAD_ALL_COMPANIES_MEMORIES,
    LOAD_ALL_USERS_MEMORIES,
    LOAD_COMPANY_MEMORIES,
    LOAD_USER_MEMORIES,
    REEMBED,
)
_REASON = "Postgres or Redis was restored: start it again"
_SWEEP, _COMPARISON = "process-rooms:restored", "reconcile-mem0:restored"
# Clocks of two servers.
_SKEW = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class KnownForgetting:
    """A forgetting that is under way or done, whatever Postgres knows of it."""

    workflow_id: str
    run_id: str
    is_running: bool


class InterruptedWork:
    def __init__(self, temporal: Client) -> None:
        self._temporal = temporal

    async def end_running(self) -> list[str]:
        """End the runs that go by a cursor of their own; answer their ids."""
        query = f"WorkflowType IN {query_list(_GOES_BY_CURSOR)} AND ExecutionStatus = 'Running'"
        ended = [run.id async for run in self._temporal.list_workflows(query)]
        for id_ in ended:
            await self.end(id_)
        return sorted(ended)

    async def done_since(self, at: datetime) -> list[str]:
        """Give the ids of such runs that came to an end after a time, by themselves."""
        since = (at - _SKEW).strftime("%Y-%m-%dT%H:%M:%SZ")
        query = (
            f"WorkflowType IN {query_list(_GOES_BY_CURSOR)} AND ExecutionStatus = 'Completed' AND CloseTime > '{since}'"
        )
        return sorted({run.id async for run in self._temporal.list_workflows(query)})

    async def forgettings(self) -> list[KnownForgetting]:
        """Give the forgettings that are under way or done, as far back as Temporal knows."""
        return [
            KnownForgetting(run.id, run.run_id, run.status is WorkflowExecutionStatus.RUNNING)
            async for run in self._forgettings()
        ]

    async def end(self, workflow_id: str) -> None:
        try:
            await self._temporal.get_workflow_handle(workflow_id).terminate(reason=_REASON)
        except RPCError as error:
            # What is listed may have ended since.
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise

    async def sweep(self) -> str:
        return await self._start(PROCESS_ROOMS, NoInput(), _SWEEP)

    async def compare_mem0(self) -> str:
        return await self._start(RECONCILE_MEM0, ReconcileInput(), _COMPARISON)

    async def _start(self, workflow_type: str, wanted: Step, id_: str) -> str:
        await self._temporal.start_workflow(
            workflow_type,
            wanted,
            id=id_,
            task_queue=MEMORY_QUEUE,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
        )
        return id_

    def _forgettings(self) -> AsyncIterator[WorkflowExecution]:
        return self._temporal.list_workflows(
            f"WorkflowType = '{FORGET_OWNER}' AND ExecutionStatus IN ('Running', 'Completed')"
        )
