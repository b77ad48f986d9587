from pydantic import ValidationError
from temporalio import workflow

from workflows.activity_options import MAINTENANCE
from workflows.pacing import ended

with workflow.unsafe.imports_passed_through():
    from activities.clean_up import CleanUpActivities
    from activities.maintenance_steps import CleanedUp, CleanUpInput, CleanUpPageInput


@workflow.defn(name="CleanUpMemory", failure_exception_types=[ValidationError])
class CleanUpMemory:
    """Removes what is past its retention, and answers how much. Runs by schedule; by hand it does no harm."""

    @workflow.init
    def __init__(self, input: CleanUpInput = CleanUpInput()) -> None:  # noqa: A002, B008
        self._found = input.found

    @workflow.run
    async def run(self, input: CleanUpInput = CleanUpInput()) -> CleanedUp:  # noqa: A002, B008
        after = input.after
        while True:
            page = await ended(
                workflow.execute_activity_method(
                    CleanUpActivities.clean_up, CleanUpPageInput(after=after), **MAINTENANCE
                )
            )
            self._found = self._found.plus(page.found)
            after = page.next_after
            if page.is_last:
                return self._found
            if workflow.info().is_continue_as_new_suggested():
                workflow.continue_as_new(CleanUpInput(after=after, found=self._found))

    @workflow.query(description="What this run has removed so far.")
    def status(self) -> CleanedUp:
        return self._found
