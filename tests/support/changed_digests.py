"""`RoomDigest` as a next version of the code could have it: it looks at the room before it digests."""

from pydantic import ValidationError
from temporalio import workflow

from workflows.activity_options import CLAIM
from workflows.room_digest import RoomDigest

with workflow.unsafe.imports_passed_through():
    from activities.buffers import BufferActivities
    from activities.steps import DigestInput, DigestStatus, RoomInput

PATCH = "looks-first"


@workflow.defn(name="RoomDigest", failure_exception_types=[ValidationError])
class LooksFirst(RoomDigest):
    """Runs that began before the change go on as they began."""

    @workflow.init
    def __init__(self, input: DigestInput) -> None:  # noqa: A002
        super().__init__(input)

    @workflow.run
    async def run(self, input: DigestInput) -> DigestStatus:  # noqa: A002
        if workflow.patched(PATCH):
            await look(input)
        return await super().run(input)


@workflow.defn(name="RoomDigest", failure_exception_types=[ValidationError])
class LooksFirstUnpatched(RoomDigest):
    """The mistake: runs that began before the change cannot be replayed."""

    @workflow.init
    def __init__(self, input: DigestInput) -> None:  # noqa: A002
        super().__init__(input)

    @workflow.run
    async def run(self, input: DigestInput) -> DigestStatus:  # noqa: A002
        await look(input)
        return await super().run(input)


async def look(room: DigestInput) -> None:
    await workflow.execute_activity_method(BufferActivities.last_seq, RoomInput(room_id=room.room_id), **CLAIM)
