from datetime import timedelta

from pydantic import ValidationError
from temporalio import workflow

from workflows.activity_options import RECONCILE
from workflows.pacing import ended

with workflow.unsafe.imports_passed_through():
    from activities.reconcile import ReconcileActivities
    from activities.webhook_steps import MemoryHintInput, MemoryReconciled

# What Mem0 tells of comes while we write it ourselves: by then we have.
QUIET = timedelta(seconds=3)


@workflow.defn(name="ReconcileMemory", failure_exception_types=[ValidationError])
class ReconcileMemory:
    """Compares one memory in Mem0 with its brain record some seconds after Mem0 hinted at it, however often it does."""

    @workflow.init
    def __init__(self, input: MemoryHintInput) -> None:  # noqa: A002, ARG002
        self._is_hinted = True

    @workflow.run
    async def run(self, input: MemoryHintInput) -> MemoryReconciled:  # noqa: A002
        result = MemoryReconciled()
        while self._is_hinted:
            await workflow.sleep(QUIET)
            self._is_hinted = False
            result = await ended(
                workflow.execute_activity_method(ReconcileActivities.reconcile_one, input, **RECONCILE)
            )
            if self._is_hinted and workflow.info().is_continue_as_new_suggested():
                workflow.continue_as_new(input)
        return result

    @workflow.signal(description="Mem0 says that this memory changed.")
    def hinted(self) -> None:
        self._is_hinted = True
