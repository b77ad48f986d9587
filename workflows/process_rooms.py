from pydantic import ValidationError
from temporalio import workflow

from workflows.activity_options import SWEEP

with workflow.unsafe.imports_passed_through():
    from activities.steps import NoInput, SweepResult
    from activities.sweep import SweepActivities


@workflow.defn(name="ProcessRooms", failure_exception_types=[ValidationError])
class ProcessRooms:
    """Wakes every room and digest that stands still. Runs by schedule; by hand it does no harm."""

    @workflow.run
    async def run(self, input: NoInput = NoInput()) -> SweepResult:  # noqa: A002, ARG002, B008
        return await workflow.execute_activity_method(SweepActivities.sweep, **SWEEP)
