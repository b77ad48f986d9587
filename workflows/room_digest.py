import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from pydantic import ValidationError
from temporalio import workflow
from temporalio.common import Priority
from temporalio.workflow import ActivityConfig

from workflows.activity_options import DIGEST, SAVE_MEMORIES
from workflows.short_histories import should_continue_as_new

with workflow.unsafe.imports_passed_through():
    from activities.digest import DigestActivities
    from activities.memories import MemoryActivities
    from activities.priorities import LIVE
    from activities.steps import ChunkInput, DigestInput, DigestResult, DigestStatus, RoomInput, SavedMemories

StepT = TypeVar("StepT")


@workflow.defn(name="RoomDigest", failure_exception_types=[ValidationError])
class RoomDigest:
    """Works off a room's chunks, one after the other; may wait days for a model or Mem0, and ends when none is left."""

    @workflow.init
    def __init__(self, input: DigestInput) -> None:  # noqa: A002
        self._room_id = input.room_id
        self._wakes = 0
        self._live = input.live
        self._status = input.done

    @workflow.run
    async def run(self, input: DigestInput) -> DigestStatus:  # noqa: A002, ARG002
        while True:
            self._wakes = 0
            step = await _ended(
                workflow.execute_activity_method(
                    DigestActivities.digest_next, RoomInput(room_id=self._room_id), **self._ahead_if_live(DIGEST)
                )
            )
            self._status = self._status.after(step, await self._save_memories(step))
            if self._status.left == 0 and self._wakes == 0:
                return self._status
            if should_continue_as_new():
                workflow.continue_as_new(DigestInput(room_id=self._room_id, live=self._live, done=self._status))

    async def _save_memories(self, step: DigestResult) -> SavedMemories:
        """Save them before the next chunk is digested, which is shown what this one taught; or say what was saved."""
        if step.outcome != "extracted" or step.chunk_id is None:
            return step.memories
        return await _ended(
            workflow.execute_activity_method(
                MemoryActivities.save_memories, ChunkInput(chunk_id=step.chunk_id), **self._ahead_if_live(SAVE_MEMORIES)
            )
        )

    def _ahead_if_live(self, options: ActivityConfig) -> ActivityConfig:
        """A digest that was started behind live chat comes forward when its room is talked in."""
        return {**options, "priority": Priority(priority_key=LIVE)} if self._live else options

    @workflow.signal(description="Messages of this room were archived.")
    def messages_archived(self) -> None:
        self._wakes += 1
        self._live = True

    @workflow.query(description="How many chunks were digested, split and set aside, and how many are left.")
    def status(self) -> DigestStatus:
        return self._status


async def _ended(step: Coroutine[Any, Any, StepT]) -> StepT:
    """Await a step; a cancellation is raised when it has ended, however it ended.

    Runs that were cancelled before that was so have gone on after a step that succeeded, and must replay.
    """
    task = asyncio.create_task(step)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        task.cancel()
        done = await task
        if workflow.patched("a-cancellation-ends-the-digest"):
            raise
        return done
