from pydantic import ValidationError
from temporalio import workflow

from workflows.activity_options import MAINTENANCE
from workflows.pacing import ended

with workflow.unsafe.imports_passed_through():
    from activities.analyse import AnalyzeActivities
    from activities.maintenance_steps import AnalysisTaken
    from activities.steps import NoInput


@workflow.defn(name="AnalyzeMemory", failure_exception_types=[ValidationError])
class AnalyzeMemory:
    """Counts what there is, what it cost and what to look at. Runs daily; by hand it counts the day anew."""

    @workflow.run
    async def run(self, input: NoInput = NoInput()) -> AnalysisTaken:  # noqa: A002, ARG002, B008
        return await ended(workflow.execute_activity_method(AnalyzeActivities.analyze, **MAINTENANCE))
