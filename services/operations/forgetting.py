"""Starts forgettings and says how they are: for commands and API alike."""

from dataclasses import dataclass
from typing import Literal

from pydantic import ValidationError
from temporalio.client import Client, WorkflowExecutionStatus, WorkflowFailureError, WorkflowHandle
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.service import RPCError, RPCStatusCode

from activities.forget_steps import ForgetInput, ForgetReceiptStep, ForgetStatus
from services.domain.errors import InvalidInputError, PermanentError
from services.domain.memories import OwnerType
from services.operations.asking_runs import ask_run
from workflows.forget_owner import ForgetOwner
from workflows.names import MEMORY_QUEUE, forget_owner_id

State = Literal["running", "done", "failed", "cancelled", "terminated"]

_STATES: dict[WorkflowExecutionStatus, State] = {
    WorkflowExecutionStatus.RUNNING: "running",
    WorkflowExecutionStatus.COMPLETED: "done",
    WorkflowExecutionStatus.CANCELED: "cancelled",
    WorkflowExecutionStatus.TERMINATED: "terminated",
}


class ForgettingUnknownError(PermanentError):
    """Nobody asked to forget this owner, or it was so long ago that Temporal does not know of it any more."""


@dataclass(frozen=True, slots=True)
class ForgettingState:
    """A forgetting as it is now: `step` says what it does where a worker answers, `receipt` what it did."""

    id: str
    run_id: str
    state: State
    step: str | None = None
    receipt: ForgetReceiptStep | None = None


class ForgettingRuns:
    """A forgetting's id is its workflow's: `forget:user:42`."""

    def __init__(self, temporal: Client) -> None:
        self._temporal = temporal

    async def start(self, owner_type: OwnerType, owner_id: str) -> str:
        """Start forgetting an owner, or find the one that is under way; answer its id.

        Raises `InvalidInputError` for what is no id.
        """
        try:
            wanted = ForgetInput(owner_type=owner_type, owner_id=owner_id)
        except ValidationError:
            raise InvalidInputError(f"{owner_type}_id", "letters, digits and _ . : -, 200 at most") from None
        id_ = forget_owner_id(owner_type, owner_id)
        await self._temporal.start_workflow(
            ForgetOwner.run,
            wanted,
            id=id_,
            task_queue=MEMORY_QUEUE,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
        )
        return id_

    async def look(self, owner_type: OwnerType, owner_id: str) -> ForgettingState:
        """Say how the owner's newest forgetting is. Raises `ForgettingUnknownError`."""
        handle = self._handle(owner_type, owner_id)
        try:
            found = await handle.describe()
        except RPCError as error:
            if error.status == RPCStatusCode.NOT_FOUND:
                raise ForgettingUnknownError(f"nobody asked to forget this {owner_type}") from None
            raise
        state = _STATES.get(found.status or WorkflowExecutionStatus.RUNNING, "failed")
        status = await ask_run(handle, "status", ForgetStatus) if state == "running" else None
        receipt = await handle.result() if state == "done" else None
        return ForgettingState(found.id, found.run_id, state, status.step if status else None, receipt)

    async def wait(self, owner_type: OwnerType, owner_id: str) -> ForgettingState:
        """Wait until it has ended, however it ends: it waits itself for what may land late."""
        try:
            await self._handle(owner_type, owner_id).result()
        except WorkflowFailureError:
            pass
        except RPCError as error:
            if error.status != RPCStatusCode.NOT_FOUND:
                raise
        return await self.look(owner_type, owner_id)

    def _handle(self, owner_type: OwnerType, owner_id: str) -> WorkflowHandle[ForgetOwner, ForgetReceiptStep]:
        return self._temporal.get_workflow_handle_for(ForgetOwner.run, forget_owner_id(owner_type, owner_id))
