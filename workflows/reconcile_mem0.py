from pydantic import ValidationError
from temporalio import workflow

from workflows.activity_options import RECONCILE

with workflow.unsafe.imports_passed_through():
    from activities.reconcile import ReconcileActivities
    from activities.steps import Mem0Drift, ReconcileInput, ReconcilePageInput

_DRIFT = "afterturn_mem0_drift"
_KINDS = ("missing_in_mem0", "missing_in_brain", "texts_differ", "duplicates")


@workflow.defn(name="ReconcileMem0", failure_exception_types=[ValidationError])
class ReconcileMem0:
    """Compares Mem0 with the brain, mends what does not agree, and answers what it found.

    Runs by schedule; by hand it does no harm, and with `repair` false it changes nothing.
    """

    @workflow.init
    def __init__(self, input: ReconcileInput = ReconcileInput()) -> None:  # noqa: A002, B008
        self._found = input.found

    @workflow.run
    async def run(self, input: ReconcileInput = ReconcileInput()) -> Mem0Drift:  # noqa: A002, B008
        after = input.after
        while True:
            page = await workflow.execute_activity_method(
                ReconcileActivities.reconcile, ReconcilePageInput(after=after, repair=input.repair), **RECONCILE
            )
            self._found = self._found.plus(page.found)
            after = page.next_after
            if after is None:
                self._publish()
                return self._found
            if workflow.info().is_continue_as_new_suggested():
                workflow.continue_as_new(ReconcileInput(repair=input.repair, after=after, found=self._found))

    @workflow.query(description="What this run has found so far.")
    def status(self) -> Mem0Drift:
        return self._found

    def _publish(self) -> None:
        """Say how far Mem0 and the brain were apart before this run mended it."""
        gauge = workflow.metric_meter().create_gauge(_DRIFT, "Memories on which Mem0 and Postgres did not agree")
        for kind in _KINDS:
            gauge.set(getattr(self._found, kind), {"kind": kind})
