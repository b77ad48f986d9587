from pydantic import ValidationError
from temporalio import workflow

from workflows.activity_options import MAINTENANCE, MERGE
from workflows.pacing import ended

with workflow.unsafe.imports_passed_through():
    from activities.maintenance_steps import Optimized, OptimizeInput, OptimizePageInput
    from activities.optimise import OptimizeActivities

# How the cursor begins of a run that is done with merging.
_PACKING = "packing:"


@workflow.defn(name="OptimizeMemory", failure_exception_types=[ValidationError])
class OptimizeMemory:
    """Merges memories that say the same, compresses large values, and analyses tables that changed much.

    Every merge can be undone. Runs by schedule; by hand it does no harm.
    """

    @workflow.init
    def __init__(self, input: OptimizeInput = OptimizeInput()) -> None:  # noqa: A002, B008
        self._found = input.found

    @workflow.run
    async def run(self, input: OptimizeInput = OptimizeInput()) -> Optimized:  # noqa: A002, B008
        is_packing = input.after is not None and input.after.startswith(_PACKING)
        if not is_packing:
            await self._merge(input.after)
        # A run that began before values were packed goes on without.
        if workflow.patched("values-are-packed"):
            await self._pack(input.after.removeprefix(_PACKING) if input.after and is_packing else None)
        analyzed = await ended(workflow.execute_activity_method(OptimizeActivities.analyze_tables, **MAINTENANCE))
        return self._found.plus(analyzed)

    @workflow.query(description="What this run has merged and compressed so far.")
    def status(self) -> Optimized:
        return self._found

    async def _merge(self, after: str | None) -> None:
        while True:
            page = await ended(
                workflow.execute_activity_method(
                    OptimizeActivities.merge_memories, OptimizePageInput(after=after), **MERGE
                )
            )
            self._found = self._found.plus(page.found)
            after = page.next_after
            if after is None:
                return
            self._may_continue(after)

    async def _pack(self, after: str | None) -> None:
        while True:
            page = await ended(
                workflow.execute_activity_method(
                    OptimizeActivities.pack_values, OptimizePageInput(after=after), **MAINTENANCE
                )
            )
            self._found = self._found.plus(page.found)
            after = page.next_after
            if after is None:
                return
            self._may_continue(f"{_PACKING}{after}")

    def _may_continue(self, after: str) -> None:
        if workflow.info().is_continue_as_new_suggested():
            workflow.continue_as_new(OptimizeInput(after=after, found=self._found))
