import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TypeVar

from pydantic import ValidationError
from temporalio import workflow
from temporalio.exceptions import ActivityError
from temporalio.workflow import ActivityConfig

from workflows.activity_options import FORGET, FORGET_MEMORIES, SWEEP
from workflows.pacing import ended

with workflow.unsafe.imports_passed_through():
    from activities.forget_steps import ForgetInput, ForgetReceiptStep, ForgetRun, ForgetStatus
    from activities.forgetting import ForgetActivities
    from activities.sweep import SweepActivities

StepT = TypeVar("StepT")


@workflow.defn(name="ForgetOwner", failure_exception_types=[ValidationError])
class ForgetOwner:
    """Erases a person or a company, everywhere and for good, and answers what was erased where.

    Every step may be repeated; an outage is waited for. A second run finds nothing, or what came back since.
    """

    @workflow.init
    def __init__(self, input: ForgetInput) -> None:  # noqa: A002
        self._run = ForgetRun(**input.model_dump(), run=workflow.info().run_id)
        self._status = ForgetStatus()

    @workflow.run
    async def run(self, input: ForgetInput) -> ForgetReceiptStep:  # noqa: A002, ARG002
        await self._do("stopping what is under way", ForgetActivities.stop_work, FORGET)
        await self._do("erasing in Redis", ForgetActivities.erase_buffers, FORGET)
        await self._do("erasing in Postgres", ForgetActivities.erase_rows, FORGET)
        memories = await self._do("erasing in Mem0", ForgetActivities.erase_memories, FORGET_MEMORIES)
        with suppress(ActivityError):  # the next sweep comes anyway
            await ended(workflow.execute_activity_method(SweepActivities.sweep, **SWEEP))
        self._note(f"waiting for {memories.grace_seconds:g} s, in which something may still land in Mem0")
        await asyncio.sleep(memories.grace_seconds)
        await self._do("checking again", ForgetActivities.erase_memories, FORGET_MEMORIES)
        receipt = await self._do("finishing", ForgetActivities.finish, FORGET)
        self._note("done")
        return receipt

    @workflow.query(description="What this run does now.")
    def status(self) -> ForgetStatus:
        return self._status

    async def _do(
        self, step: str, method: Callable[[ForgetActivities, ForgetRun], Awaitable[StepT]], options: ActivityConfig
    ) -> StepT:
        self._note(step)
        return await ended(workflow.execute_activity_method(method, self._run, **options))

    def _note(self, step: str) -> None:
        self._status = ForgetStatus(step=step)
        workflow.set_current_details(step)
