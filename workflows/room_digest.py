from pydantic import ValidationError
from temporalio import workflow

from workflows.activity_options import DIGEST

with workflow.unsafe.imports_passed_through():
    from activities.digest import DigestActivities
    from activities.steps import DigestStatus, RoomInput


@workflow.defn(name="RoomDigest", failure_exception_types=[ValidationError])
class RoomDigest:
    """Works off a room's chunks, one after the other; may wait days for a model, and ends when none is left."""

    @workflow.init
    def __init__(self, input: RoomInput) -> None:  # noqa: A002
        self._room_id = input.room_id
        self._wakes = 0
        self._status = DigestStatus()

    @workflow.run
    async def run(self, input: RoomInput) -> DigestStatus:  # noqa: A002
        while True:
            self._wakes = 0
            step = await workflow.execute_activity_method(
                DigestActivities.digest_next, RoomInput(room_id=self._room_id), **DIGEST
            )
            self._status = self._status.after(step)
            if step.left == 0 and self._wakes == 0:
                return self._status
            if workflow.info().is_continue_as_new_suggested():
                workflow.continue_as_new(input)

    @workflow.signal(description="Messages of this room were archived.")
    def messages_archived(self) -> None:
        self._wakes += 1

    @workflow.query(description="How many chunks this run digested, split and set aside, and how many are left.")
    def status(self) -> DigestStatus:
        return self._status
