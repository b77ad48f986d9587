"""Starts, watches and steers the loads of memories from rows: for commands and API alike."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ValidationError
from temporalio.client import (
    Client,
    WorkflowExecutionDescription,
    WorkflowExecutionStatus,
    WorkflowFailureError,
    WorkflowHandle,
    WorkflowUpdateFailedError,
)
from temporalio.common import WorkflowIDConflictPolicy
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from activities.load_steps import CompaniesLoaded, LoadState, OwnerLoaded, UsersLoaded
from services.domain.errors import AfterturnError, InvalidInputError, PermanentError
from services.domain.memories import OwnerType
from services.operations.asking_runs import ask_run
from services.operations.backfill_runs import RunState, is_backfill, run_state
from workflows.load_memories import (
    CompanyInput,
    LoadAllCompaniesMemories,
    LoadAllInput,
    LoadAllUsersMemories,
    LoadCompanyMemories,
    LoadUserMemories,
    UserInput,
)
from workflows.names import (
    LOAD_ALL_COMPANIES_MEMORIES,
    LOAD_ALL_USERS_MEMORIES,
    LOAD_COMPANY_MEMORIES,
    LOAD_USER_MEMORIES,
    MEMORY_QUEUE,
    load_all_memories_id,
    load_memories_id,
)
from workflows.pacing import Progress, RateInput

State = Literal[RunState, "paused"]
Result = OwnerLoaded | CompaniesLoaded | UsersLoaded
InputT = TypeVar("InputT", bound=BaseModel)

# A run that is just going on to its next task answers no query, and Temporal takes one of them at a time.
_RESULTS: dict[str, type[Result]] = {
    LOAD_COMPANY_MEMORIES: OwnerLoaded,
    LOAD_USER_MEMORIES: OwnerLoaded,
    LOAD_ALL_COMPANIES_MEMORIES: CompaniesLoaded,
    LOAD_ALL_USERS_MEMORIES: UsersLoaded,
}
_OF_ALL = (LOAD_ALL_COMPANIES_MEMORIES, LOAD_ALL_USERS_MEMORIES)


class BackfillRunningError(PermanentError):
    """The same load runs already; `backfill_id` is its id."""

    def __init__(self, backfill_id: str) -> None:
        super().__init__(f"{backfill_id} is running already")
        self.backfill_id = backfill_id


class BackfillUnknownError(PermanentError):
    """No load has this id, or the load has ended and cannot be steered any more."""


@dataclass(frozen=True, slots=True)
class Backfill:
    """A load as it is now. `progress` is None where no worker answers, and of a load of one owner.

    `failed_ids` are some of the owners that failed; the worker's log names all of them. `reason` is why it failed.
    """

    id: str
    run_id: str
    state: State
    started_at: datetime
    ended_at: datetime | None = None
    progress: Progress | None = None
    failed_ids: tuple[str, ...] = ()
    result: Result | None = None
    reason: str | None = None


class Backfills:
    """A load's id is its workflow's: `load-user-memories:42`, `load-all-companies-memories`."""

    def __init__(self, temporal: Client) -> None:
        self._temporal = temporal

    async def start_one(self, owner_type: OwnerType, owner_id: str, *, dry_run: bool = False) -> str:
        """Start the load of one owner; answer its id. Raises `BackfillRunningError`, `InvalidInputError`."""
        field = f"{owner_type}_id"
        given = {field: owner_id, "dry_run": dry_run}
        if owner_type == "company":
            await self._start(
                LoadCompanyMemories.run, _read(CompanyInput, given), load_memories_id("company", owner_id)
            )
        else:
            await self._start(LoadUserMemories.run, _read(UserInput, given), load_memories_id("user", owner_id))
        return load_memories_id(owner_type, owner_id)

    async def start_all(self, owner_type: OwnerType, given: Mapping[str, Any] | LoadAllInput | None = None) -> str:
        """Start the load of all owners of a type; answer its id. Raises `BackfillRunningError`, `InvalidInputError`."""
        wanted = given if isinstance(given, LoadAllInput) else _read(LoadAllInput, given or {})
        backfill_id = load_all_memories_id(owner_type)
        run = LoadAllCompaniesMemories.run if owner_type == "company" else LoadAllUsersMemories.run
        await self._start(run, wanted, backfill_id)
        return backfill_id

    async def describe(self, backfill_id: str) -> Backfill:
        """Say how a load is, or how its last run ended. Raises `BackfillUnknownError`."""
        handle = self._handle(backfill_id)
        try:
            found = await handle.describe()
        except RPCError as error:
            raise _unknown(backfill_id, error) from None
        if found.status is None or found.status == WorkflowExecutionStatus.RUNNING:
            return await self._running(handle, found)
        result, reason = await _outcome(handle, found)
        return Backfill(
            id=backfill_id,
            run_id=found.run_id,
            state=run_state(found.status),
            started_at=found.start_time,
            ended_at=found.close_time,
            failed_ids=await _failed_ids(handle, found.workflow_type),
            result=result,
            reason=reason,
        )

    async def wait(self, backfill_id: str) -> Backfill:
        """Wait until a load has ended, however it ends."""
        try:
            await self._handle(backfill_id).result()
        except WorkflowFailureError:
            pass
        except RPCError as error:
            raise _unknown(backfill_id, error) from None
        return await self.describe(backfill_id)

    async def pause(self, backfill_id: str) -> None:
        await self._signal(backfill_id, "pause")

    async def resume(self, backfill_id: str) -> None:
        await self._signal(backfill_id, "resume")

    async def cancel(self, backfill_id: str) -> None:
        """Ask a load to stop; what it has written stands."""
        try:
            await self._handle(backfill_id).cancel()
        except RPCError as error:
            raise _unknown(backfill_id, error) from None

    async def set_rate(self, backfill_id: str, max_per_second: float | None) -> Progress:
        """Let a load do no more than so many owners a second; None lifts the limit."""
        rate = _read(RateInput, {"max_per_second": max_per_second})
        try:
            told = await self._handle(_one_of_all(backfill_id)).execute_update("set_rate", rate, result_type=Progress)
        except RPCError as error:
            raise _unknown(backfill_id, error) from None
        except WorkflowUpdateFailedError:
            raise BackfillUnknownError(f"{backfill_id} has ended") from None
        return Progress.model_validate(told)

    async def _start(self, run: Any, wanted: BaseModel, backfill_id: str) -> None:  # noqa: ANN401  four types of run
        try:
            await self._temporal.start_workflow(
                run,
                wanted,
                id=backfill_id,
                task_queue=MEMORY_QUEUE,
                id_conflict_policy=WorkflowIDConflictPolicy.FAIL,
            )
        except WorkflowAlreadyStartedError:
            raise BackfillRunningError(backfill_id) from None

    async def _running(self, handle: WorkflowHandle[Any, Any], found: WorkflowExecutionDescription) -> Backfill:
        progress, failed_ids = None, tuple[str, ...]()
        if found.workflow_type in _OF_ALL:
            progress = await ask_run(handle, "progress", Progress)
            if progress and progress.failed:
                failed_ids = await _failed_ids(handle, found.workflow_type)
        return Backfill(
            id=found.id,
            run_id=found.run_id,
            state="paused" if progress and progress.paused else "running",
            started_at=found.start_time,
            progress=progress,
            failed_ids=failed_ids,
        )

    async def _signal(self, backfill_id: str, signal: str) -> None:
        try:
            await self._handle(_one_of_all(backfill_id)).signal(signal)
        except RPCError as error:
            raise _unknown(backfill_id, error) from None

    def _handle(self, backfill_id: str) -> WorkflowHandle[Any, Any]:
        if not is_backfill(backfill_id):
            raise BackfillUnknownError(f"no backfill is called {backfill_id}")
        return self._temporal.get_workflow_handle(backfill_id)


def _one_of_all(backfill_id: str) -> str:
    if is_backfill(backfill_id) and ":" in backfill_id:
        raise InvalidInputError("id", "a load of all owners: one of a single owner takes no steering but cancel")
    return backfill_id


async def _outcome(
    handle: WorkflowHandle[Any, Any], found: WorkflowExecutionDescription
) -> tuple[Result | None, str | None]:
    """Give the result of a load that is done, and why one that failed did; both quote nothing."""
    if found.status not in (WorkflowExecutionStatus.COMPLETED, WorkflowExecutionStatus.FAILED):
        return None, None
    try:
        told = await handle.result(follow_runs=False)
    except WorkflowFailureError as failure:
        return None, _why(failure)
    return _RESULTS[found.workflow_type].model_validate(told), None


async def _failed_ids(handle: WorkflowHandle[Any, Any], workflow_type: str) -> tuple[str, ...]:
    if workflow_type not in _OF_ALL:
        return ()
    state = await ask_run(handle, "state", LoadState)
    return tuple(str(each) for each in state.failed_ids) if state else ()


def _read(shape: type[InputT], given: Mapping[str, Any]) -> InputT:
    """Read an input; raise `InvalidInputError` naming the first wrong field and what it takes."""
    try:
        return shape.model_validate(given)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False, include_context=False)[0]
        raise InvalidInputError(str(first["loc"][0]), first["msg"]) from None


def _unknown(backfill_id: str, error: RPCError) -> AfterturnError | RPCError:
    if error.status in (RPCStatusCode.NOT_FOUND, RPCStatusCode.FAILED_PRECONDITION):
        return BackfillUnknownError(f"no backfill {backfill_id} is running, or is known any more")
    return error


def _why(error: BaseException) -> str:
    while error.__cause__ is not None:
        error = error.__cause__
    return str(error)
