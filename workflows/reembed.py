import asyncio

from pydantic import ValidationError
from temporalio import workflow
from temporalio.workflow import ActivityConfig

from workflows.activity_options import REEMBED
from workflows.pacing import MaxPerSecond, Pace, Paced, ended

with workflow.unsafe.imports_passed_through():
    from activities.priorities import behind_chat
    from activities.reembed_steps import (
        BegunReembed,
        CheckedRecall,
        FillInput,
        FillState,
        ModelInput,
        ReembedResult,
        SwitchedModel,
    )
    from activities.reembedding import ReembedActivities
    from activities.steps import Step

# Before what live work has left out is looked for again.
_AGAIN_SECONDS = 2.0


class CarriedReembed(Step):
    """What a re-embedding hands on to itself when it continues as new."""

    begun: BegunReembed
    state: FillState
    pace: Pace


class ReembedInput(ModelInput):
    """`carried` is nobody's to fill in."""

    max_per_second: MaxPerSecond | None = None
    carried: CarriedReembed | None = None


@workflow.defn(name="Reembed", failure_exception_types=[ValidationError])
class Reembed(Paced):
    """Makes an embedding model ready beside the current one, checks what search finds in it, and switches to it.

    The model that was read goes on being written, so that one may go back to it. A run that fails or is cancelled
    leaves the current model as it was; the next run goes on where it stopped.
    """

    @workflow.init
    def __init__(self, input: ReembedInput) -> None:  # noqa: A002
        carried = input.carried
        self._model = ModelInput(model=input.model)
        self._begun = carried.begun if carried else None
        self._state = carried.state if carried else FillState()
        self._options: ActivityConfig = {**REEMBED, "priority": behind_chat(None)}
        self.start_pacing(carried.pace if carried else Pace(max_per_second=input.max_per_second))

    @workflow.run
    async def run(self, input: ReembedInput) -> ReembedResult:  # noqa: A002
        begun = self._begun = self._begun or await self._begin()
        if begun.role == "current":
            return ReembedResult(model=input.model, switched=False, dimensions=begun.dimensions)
        while True:
            while not self._state.finished:
                await self.may_go_on()
                if workflow.info().is_continue_as_new_suggested():
                    await workflow.wait_condition(workflow.all_handlers_finished)
                    carried = CarriedReembed(begun=begun, state=self._state, pace=self.pace)
                    workflow.continue_as_new(input.model_copy(update={"carried": carried}))
                await self._fill(begun)
            await self.may_go_on()
            checked = await self._check()
            await self.may_go_on()
            if (await self._switch()).missing == 0:
                break
            self._state = self._state.again()
            await asyncio.sleep(_AGAIN_SECONDS)
        return ReembedResult(
            model=input.model,
            switched=True,
            dimensions=begun.dimensions,
            embedded=self._state.embedded,
            recall=checked.recall,
        )

    async def _begin(self) -> BegunReembed:
        return await ended(
            workflow.execute_activity_method(ReembedActivities.begin_reembed, self._model, **self._options)
        )

    async def _fill(self, begun: BegunReembed) -> None:
        wanted = FillInput(model=self._model.model, state=self._state, max_per_second=self.pace.max_per_second)
        step = workflow.execute_activity_method(ReembedActivities.fill_vectors, wanted, **self._options)
        state = self._state = await ended(step)
        self.advance(done=state.embedded, failed=0, total=max(begun.missing, state.embedded))

    async def _check(self) -> CheckedRecall:
        return await ended(
            workflow.execute_activity_method(ReembedActivities.check_recall, self._model, **self._options)
        )

    async def _switch(self) -> SwitchedModel:
        return await ended(
            workflow.execute_activity_method(ReembedActivities.switch_model, self._model, **self._options)
        )
