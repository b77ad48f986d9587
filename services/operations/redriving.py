"""Runs again what is in quarantine: for commands and API alike."""

import logging
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Literal
from uuid import UUID, uuid4

from afterturn_client.messages import decode_entry
from afterturn_client.rooms import check_room_id
from temporalio.client import Client

from activities.buffers import understood
from activities.waking_digests import DigestWaker
from services.domain.messages import ClaimedEntry, NewMessage, Rejected
from services.postgres.archive.quarantine import Quarantine, Quarantined
from services.postgres.archive.writing import Archive

Outcome = Literal["archived", "repeated", "put_back", "still_bad", "needs_room", "redriven_before", "unknown"]

# The sweep wakes the digest where this does not.
WAKE_SECONDS = 5

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Redriven:
    """What became of one thing in quarantine; `detail` says why it stays there."""

    id: UUID
    outcome: Outcome
    room_id: str | None = None
    detail: str = ""

    @property
    def left_quarantine(self) -> bool:
        return self.outcome in ("archived", "repeated", "put_back", "redriven_before")


class Redriving:
    def __init__(self, quarantine: Quarantine, archive: Archive, temporal: Client) -> None:
        self._quarantine = quarantine
        self._archive = archive
        self._digests = DigestWaker(temporal, rpc_timeout=timedelta(seconds=WAKE_SECONDS))

    async def redrive(self, item_id: UUID, *, room_id: str | None = None) -> Redriven:
        """Try one thing again; safe to repeat, and to do twice at once.

        An entry goes to the end of its room, or of `room_id` where its key named none; a chunk waits to be digested.
        Call `wake` for the rooms that got something.
        """
        epoch = await self._quarantine.epoch()
        item = await self._quarantine.get(item_id)
        if item is None:
            return Redriven(item_id, "unknown", detail="nothing in quarantine has this id")
        if item.state != "open":
            return Redriven(item_id, "redriven_before", item.room_id)
        match item.kind:
            case "chunk":
                await self._quarantine.put_chunk_back(item)
                return Redriven(item_id, "put_back", item.room_id)
            case _ if item.room_id or room_id:
                return await self._archive_entry(item, item.room_id or room_id or "", epoch)
            case _:
                return Redriven(item_id, "needs_room", detail="its key named no room: say which one it belongs to")

    async def wake(self, room_id: str) -> bool:
        """Start the room's digest, or tell the running one; False where Temporal is away and the sweep will."""
        woken = await self._digests.wake(room_id)
        if not woken:
            logger.warning("the digest of %s was not woken: the sweep does it", room_id)
        return woken

    async def _archive_entry(self, item: Quarantined, room_id: str, epoch: int) -> Redriven:
        """Archive it under the claim that it came with, so that its id is the one that it would have had."""
        check_room_id(room_id)
        entry = _read_again(item, room_id)
        if isinstance(entry.read, Rejected):
            return await self._keep(item, entry.read)
        run_id = f"redrive/{uuid4().hex}"
        done = await self._archive.add(room_id, item.source, [entry], run_id=run_id, epoch=epoch)
        if done.quarantined:
            return await self._keep(item, Rejected("id_reused", "id: was used before, for other content"))
        await self._quarantine.close(item.id)
        return Redriven(item.id, "archived" if done.added else "repeated", room_id)

    async def _keep(self, item: Quarantined, why: Rejected) -> Redriven:
        await self._quarantine.count_try(item.id, why)
        return Redriven(item.id, "still_bad", item.room_id, f"{why.reason}: {why.detail}")


def _read_again(item: Quarantined, room_id: str) -> ClaimedEntry:
    raw = item.raw or b""
    (entry,) = understood(room_id, item.source, item.position, [raw])
    if isinstance(entry.read, NewMessage) and decode_entry(raw).sent_at is None:
        # It was sent when it came, not today.
        return replace(entry, read=replace(entry.read, sent_at=item.created_at))
    return entry
