import asyncio
from contextlib import suppress
from itertools import count

from pydantic import ValidationError
from temporalio import workflow
from temporalio.exceptions import FailureError, WorkflowAlreadyStartedError
from temporalio.workflow import ParentClosePolicy

from workflows.activity_options import ARCHIVE, CLAIM, CLAIM_AT_ONCE, RELEASE
from workflows.names import ROOM_DIGEST, room_digest_id
from workflows.room_digest import RoomDigest
from workflows.short_histories import should_continue_as_new, should_leave_the_rest

with workflow.unsafe.imports_passed_through():
    from activities.buffers import BufferActivities
    from activities.steps import (
        ArchiveInput,
        ArchiveResult,
        ClaimInput,
        ClaimResult,
        ReleaseInput,
        RoomInput,
        RoomStatus,
    )

# To wake the digest: it ends between two of them at most once or twice.
_TRIES = 5


@workflow.defn(name="RoomMemory", failure_exception_types=[ValidationError])
class RoomMemory:
    """Takes a room's buffer into the archive, for as long as a burst lasts.

    It ends only when the room is empty. Cancelled, it stops waiting for quiet, and ends when what it took is archived
    and its keys are gone.
    """

    @workflow.init
    def __init__(self, input: RoomInput) -> None:  # noqa: A002
        self._room_id = input.room_id
        self._wakes = 0
        self._flushes = 0
        self._cancelled = False
        self._draining = False
        self._drains = 0
        self._status = RoomStatus(step="waiting")

    @workflow.run
    async def run(self, input: RoomInput) -> RoomStatus:  # noqa: A002
        self._wakes += 1
        while not self._finished():
            if not self._called():
                await workflow.wait_condition(lambda: self._called() or workflow.all_handlers_finished())
                continue
            if workflow.all_handlers_finished() and should_continue_as_new():
                workflow.continue_as_new(input)
            await self._drain_through_cancellation()
        return self._status

    @workflow.signal(description="A turn was recorded in this room.")
    def turn_recorded(self) -> None:
        self._wakes += 1

    @workflow.update(description="Archive now what is buffered; returns the room's last sequence number.")
    async def flush(self) -> int:
        """A drain at work may have looked at the buffer already: the next one has not."""
        goal = self._drains + (2 if self._draining else 1)
        self._flushes += 1
        await workflow.wait_condition(lambda: self._drains >= goal)
        self._flushes -= 1
        return await workflow.execute_activity_method(
            BufferActivities.last_seq, RoomInput(room_id=self._room_id), **CLAIM
        )

    @workflow.query(description="What this run does now, and what it archived so far.")
    def status(self) -> RoomStatus:
        return self._status

    def _called(self) -> bool:
        return self._wakes > 0 or self._flushes > 0

    def _finished(self) -> bool:
        return not self._called() and workflow.all_handlers_finished()

    @property
    def _at_once(self) -> bool:
        return self._flushes > 0 or self._cancelled

    async def _drain_through_cancellation(self) -> None:
        """Roll forward: a cancellation ends the wait for quiet and is raised when the room is empty."""
        self._draining = True
        drain = asyncio.create_task(self._drain())
        try:
            await asyncio.shield(drain)
        except asyncio.CancelledError:
            self._cancelled = True
            await drain
            raise
        finally:
            self._draining = False

    async def _drain(self) -> None:
        self._wakes = 0
        digest_waits = False
        claim = await self._claim_when_quiet()
        while claim is not None:
            page = await self._archive(claim)
            # A digest that has a chunk to do yet looks again by itself: a signal for every burst would fill its
            # history while it waits for a model.
            digest_waits = not (page.digest_is_busy or page.digest_is_woken)
            claim = page.next_claim if page.released else await self._release(claim)
            if claim is not None and self._leaves_the_rest():
                # The claim stands: the run that goes on from here is given it again.
                self._wakes += 1
                break
        if digest_waits:
            self._note(step="waking the digest")
            await self._wake_digest()
        self._drains += 1
        self._note(step="done")

    async def _claim_when_quiet(self) -> str | None:
        """Sleep lazily: the room is looked at again only when it should be quiet, or is full."""
        started = workflow.time()
        while True:
            taken = await self._claim(workflow.time() - started)
            if taken.wait_seconds is None:
                return taken.claim
            self._note(step="waiting")
            self._wakes = 0
            with suppress(TimeoutError):
                await workflow.wait_condition(lambda: self._at_once or bool(self._wakes), timeout=taken.wait_seconds)

    async def _claim(self, waited: float) -> ClaimResult:
        wanted = ClaimInput(room_id=self._room_id, waited_seconds=waited, at_once=self._at_once)
        try:
            return await workflow.execute_local_activity_method(BufferActivities.claim, wanted, **CLAIM_AT_ONCE)
        except FailureError:
            return await workflow.execute_activity_method(BufferActivities.claim, wanted, **CLAIM)

    def _leaves_the_rest(self) -> bool:
        """A room that never falls silent would fill one run's history."""
        return not self._at_once and workflow.all_handlers_finished() and should_leave_the_rest()

    async def _archive(self, claim: str) -> ArchiveResult:
        self._note(step="archiving")
        page = await workflow.execute_activity_method(
            BufferActivities.archive, ArchiveInput(room_id=self._room_id, claim=claim), **ARCHIVE
        )
        self._note(
            archived=self._status.archived + page.added,
            repeated=self._status.repeated + page.repeated,
            quarantined=self._status.quarantined + page.quarantined,
            last_seq=max(self._status.last_seq, page.last_seq),
        )
        return page

    async def _release(self, claim: str) -> str | None:
        """Delete a claim whose archiving was done by a worker that left that to a step of its own."""
        self._note(step="releasing")
        released = await workflow.execute_activity_method(
            BufferActivities.release, ReleaseInput(room_id=self._room_id, claim=claim), **RELEASE
        )
        return released.next_claim

    async def _wake_digest(self) -> None:
        """Start the room's digest, or tell the running one; it may end in between, so either is tried in turn.

        One that was told as often as Temporal allows cannot be told again: it looks for more by itself.
        """
        workflow_id = room_digest_id(self._room_id)
        for tries in count(1):
            try:
                await workflow.start_child_workflow(
                    ROOM_DIGEST,
                    RoomInput(room_id=self._room_id),
                    id=workflow_id,
                    parent_close_policy=ParentClosePolicy.ABANDON,
                )
            except WorkflowAlreadyStartedError:
                with suppress(FailureError):
                    running = workflow.get_external_workflow_handle(workflow_id)
                    await running.signal(RoomDigest.messages_archived)
                    return
                if tries >= _TRIES and workflow.patched("a-digest-is-told-a-few-times"):
                    return
            else:
                return

    def _note(self, **changes: object) -> None:
        self._status = self._status.model_copy(update=changes)
