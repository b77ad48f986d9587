from contextlib import suppress

from pydantic import ValidationError
from temporalio import workflow
from temporalio.exceptions import ActivityError
from temporalio.workflow import ActivityConfig

from workflows.activity_options import IMPORT, SWEEP
from workflows.pacing import MaxPerSecond, Pace, Paced, ended

with workflow.unsafe.imports_passed_through():
    from activities.import_steps import CheckedSource, CopyInput, ImportResult, ImportState, Origin, PagesInput
    from activities.imports import ImportActivities
    from activities.priorities import behind_chat
    from activities.steps import Step
    from activities.sweep import SweepActivities


class Carried(Step):
    """What an import hands on to itself when it continues as new."""

    import_run: str
    checked: CheckedSource
    state: ImportState
    pace: Pace


class ImportInput(Origin):
    """`carried` is nobody's to fill in."""

    max_per_second: MaxPerSecond | None = None
    carried: Carried | None = None


@workflow.defn(name="ImportHistory", failure_exception_types=[ValidationError])
class ImportHistory(Paced):
    """Brings past conversations from a file into the archive; they are digested behind live chat.

    A second import of the same messages changes nothing.
    """

    @workflow.init
    def __init__(self, input: ImportInput) -> None:  # noqa: A002
        carried = input.carried
        self._origin = Origin.model_validate(input.model_dump(include=set(Origin.model_fields)))
        self._checked = carried.checked if carried else None
        self._state = carried.state if carried else ImportState()
        self._import_run = carried.import_run if carried else workflow.info().run_id
        self._options: ActivityConfig = {**IMPORT, "priority": behind_chat(input.company_id or input.user_id)}
        self.start_pacing(carried.pace if carried else Pace(max_per_second=input.max_per_second))

    @workflow.run
    async def run(self, input: ImportInput) -> ImportResult:  # noqa: A002
        try:
            checked = self._checked or await self._check()
            while not self._state.finished:
                await self.may_go_on()
                if workflow.info().is_continue_as_new_suggested():
                    break
                await self._import_pages(checked)
        except BaseException:
            await self._remove_copy()
            raise
        if not self._state.finished:
            await workflow.wait_condition(workflow.all_handlers_finished)
            carried = Carried(import_run=self._import_run, checked=checked, state=self._state, pace=self.pace)
            workflow.continue_as_new(input.model_copy(update={"carried": carried}))
        await self._remove_copy()
        with suppress(ActivityError):  # the next sweep comes anyway
            await workflow.execute_activity_method(SweepActivities.sweep, **SWEEP)
        return ImportResult(**self._state.model_dump(include=set(ImportResult.model_fields)))

    async def _check(self) -> CheckedSource:
        step = workflow.execute_activity_method(ImportActivities.check_source, self._origin, **self._options)
        return await ended(step)

    async def _import_pages(self, checked: CheckedSource) -> None:
        wanted = PagesInput(
            origin=self._origin,
            checked=checked,
            state=self._state,
            import_run=self._import_run,
            max_per_second=self.pace.max_per_second,
        )
        step = workflow.execute_activity_method(ImportActivities.import_pages, wanted, **self._options)
        state = self._state = await ended(step)
        self.advance(
            done=state.messages_added + state.repeated + state.in_page,
            failed=state.quarantined,
            share=1.0 if state.finished else state.cursor.offset / checked.size,
        )

    async def _remove_copy(self) -> None:
        await workflow.execute_activity_method(
            ImportActivities.remove_copy, CopyInput(source=self._origin.source), **self._options
        )
