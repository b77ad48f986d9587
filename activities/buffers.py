"""From a room's buffer into the archive: claim, archive, release."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Protocol
from uuid import uuid4

from afterturn_client.errors import BadEntryError
from afterturn_client.messages import decode_entry
from afterturn_client.rooms import user_of_room
from temporalio import activity
from temporalio.common import Priority

from activities.heartbeats import heartbeating, run_id
from activities.steps import (
    ArchiveInput,
    ArchiveResult,
    ClaimInput,
    ClaimResult,
    ReleaseInput,
    ReleaseResult,
    RoomInput,
)
from services.domain.ids import message_id
from services.domain.messages import ClaimedEntry, NewMessage, Rejected
from services.memories.prefetching import Prefetching, reader_of
from services.postgres.archive.rooms import Rooms
from services.postgres.archive.writing import Archive
from services.room_buffer.buffer import Claim, RoomBuffer, Wait
from services.settings import BufferSettings

# What one transaction takes of a claim: entries may have a megabyte each.
PAGE_ENTRIES = 200


class Wakes(Protocol):
    async def wake(self, room_id: str, priority: Priority) -> bool:
        """Have the room digested; say whether that is seen to."""


class BufferActivities:
    def __init__(
        self,
        buffer: RoomBuffer,
        archive: Archive,
        rooms: Rooms,
        digests: Wakes,
        prefetching: Prefetching,
        settings: BufferSettings,
    ) -> None:
        self._buffer = buffer
        self._archive = archive
        self._rooms = rooms
        self._digests = digests
        self._prefetching = prefetching
        self._settings = settings

    @activity.defn
    async def claim(self, input: ClaimInput) -> ClaimResult:  # noqa: A002
        """Take the buffer if the room is quiet or full; answer the claim that stands if there is one.

        The name is new at every attempt: one that was used before could give two messages the same id.
        """
        taken = await self._buffer.claim(
            input.room_id,
            quiet_ms=0 if input.at_once else round(self._settings.linger_seconds * 1000),
            waited_ms=round(input.waited_seconds * 1000),
            max_wait_ms=round(self._settings.max_wait_seconds * 1000),
            batch_size=self._settings.batch_size,
            name=uuid4().hex,
        )
        if isinstance(taken, Wait):
            return ClaimResult(wait_seconds=taken.ms / 1000)
        return ClaimResult(claim=taken.name if isinstance(taken, Claim) else None)

    @activity.defn
    async def archive(self, input: ArchiveInput) -> ArchiveResult:  # noqa: A002
        """Write the claim's messages into Postgres, page by page, set aside what is none, and delete the claim.

        Where that leaves the room empty its digest is woken here: from the workflow it would take a task more.
        """
        added = repeated = quarantined = last_seq = 0
        may_be_busy = True
        async with heartbeating():
            async for start, raw in self._buffer.pages(input.room_id, input.claim, PAGE_ENTRIES):
                entries = list(understood(input.room_id, input.claim, start, raw))
                page = await self._archive.add(input.room_id, input.claim, entries, run_id=run_id())
                added += page.added
                repeated += page.repeated
                quarantined += page.quarantined
                last_seq = page.last_seq
                may_be_busy = page.has_waiting_chunk
                if page.added:
                    self._warm(input.room_id, entries)
            # Asked again when all is committed: whoever does that chunk looks for more afterwards.
            busy = may_be_busy and await self._rooms.has_live_chunk(input.room_id)
            next_claim = await self._release(input.room_id, input.claim)
            is_last = next_claim is None and not busy
            woken = is_last and await self._digests.wake(input.room_id, activity.info().priority)
        return ArchiveResult(
            added=added,
            repeated=repeated,
            quarantined=quarantined,
            last_seq=last_seq,
            digest_is_busy=busy,
            digest_is_woken=woken,
            released=True,
            next_claim=next_claim,
        )

    def _warm(self, room_id: str, entries: Sequence[ClaimedEntry]) -> None:
        said = [entry.read for entry in entries if isinstance(entry.read, NewMessage)]
        if (reader := reader_of(room_id, said)) is not None:
            self._prefetching.turn_arrived(reader, room_id)

    @activity.defn
    async def release(self, input: ReleaseInput) -> ReleaseResult:  # noqa: A002
        """Delete an archived claim: a step of its own for runs whose archiving did not do it yet."""
        return ReleaseResult(next_claim=await self._release(input.room_id, input.claim))

    async def _release(self, room_id: str, claim: str) -> str | None:
        """Delete an archived claim; answer the next one, if messages came meanwhile."""
        following = await self._buffer.release(room_id, claim, uuid4().hex)
        return following.name if isinstance(following, Claim) else None

    @activity.defn
    async def last_seq(self, input: RoomInput) -> int:  # noqa: A002
        return await self._rooms.last_seq(input.room_id)


def understood(room_id: str, claim: str, start: int, raw: list[bytes]) -> Iterator[ClaimedEntry]:
    """Read entries of a claim as messages; those that are none carry the reason."""
    for position, entry in enumerate(raw, start):
        yield ClaimedEntry(position, entry, _read(room_id, claim, position, entry))


def _read(room_id: str, claim: str, position: int, entry: bytes) -> NewMessage | Rejected:
    try:
        message = decode_entry(entry)
    except BadEntryError as error:
        return Rejected(error.reason, error.detail)
    return NewMessage(
        id=message.id or message_id(claim, position),
        role=message.role,
        content=message.content,
        user_id=message.user_id or user_of_room(room_id),
        company_id=message.company_id,
        sent_at=message.sent_at or datetime.now(UTC),
        tool_calls=tuple(message.tool_calls),
        metadata=message.metadata,
        remember=message.remember,
    )
