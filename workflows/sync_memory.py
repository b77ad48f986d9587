from pydantic import ValidationError
from temporalio import workflow

from workflows.activity_options import MAINTENANCE
from workflows.pacing import ended

with workflow.unsafe.imports_passed_through():
    from activities.maintenance_steps import Synced, SyncInput, SyncPageInput
    from activities.synchronise import SyncActivities


@workflow.defn(name="SyncMemory", failure_exception_types=[ValidationError])
class SyncMemory:
    """Brings Redis and Postgres to agree, and answers what it mended. Runs by schedule; by hand it does no harm."""

    @workflow.init
    def __init__(self, input: SyncInput = SyncInput()) -> None:  # noqa: A002, B008
        self._found = input.found

    @workflow.run
    async def run(self, input: SyncInput = SyncInput()) -> Synced:  # noqa: A002, B008
        after = input.after
        while True:
            page = await ended(
                workflow.execute_activity_method(SyncActivities.sync, SyncPageInput(after=after), **MAINTENANCE)
            )
            self._found = self._found.plus(page.found)
            after = page.next_after
            if after is None:
                return self._found
            if workflow.info().is_continue_as_new_suggested():
                workflow.continue_as_new(SyncInput(after=after, found=self._found))

    @workflow.query(description="What this run has mended so far.")
    def status(self) -> Synced:
        return self._found
