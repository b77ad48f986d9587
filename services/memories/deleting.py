"""Deletes one message, with what was derived from it alone: for API and commands alike."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import select

from services.domain.errors import AfterturnError
from services.mem0_store.port import MemoryStore
from services.postgres.database import Database, Tenant
from services.postgres.forgetting.erasing_memories import Derived
from services.postgres.forgetting.erasing_messages import erase_messages
from services.postgres.tables.archive import ArchivedRow

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Place:
    """Where an archived message is, and who said it."""

    room_id: str
    seq: int
    user_id: str | None


class MessageDeletion:
    def __init__(self, database: Database, store: MemoryStore | None) -> None:
        self._database = database
        self._store = store

    async def find(self, room_id: str, message_id: str, *, tenant: Tenant | None = None) -> Place | None:
        wanted = select(ArchivedRow.seq, ArchivedRow.user_id).where(
            ArchivedRow.room_id == room_id, ArchivedRow.id == message_id
        )
        async with self._database.transaction(tenant) as session:
            row = (await session.execute(wanted)).one_or_none()
        return Place(room_id, row.seq, row.user_id) if row else None

    async def delete(self, place: Place) -> dict[str, int]:
        """Erase the message for good; answer what went, by table. Its chunk waits to be digested again without it.

        Mem0 follows at once, or, where it does not answer, at the next reconciliation.
        """
        async with self._database.transaction() as session:
            erased = await erase_messages(session, place.room_id, [place.seq])
        if self._store is not None:
            await follow(self._store, erased.memories)
        return erased.counts


async def follow(store: MemoryStore, memories: Sequence[Derived]) -> None:
    """Let Mem0 follow the brains; where it does not answer it follows at the next reconciliation."""
    for done, memory in enumerate(memories):
        try:
            await store.settle(memory.owner, memory.slug)
        except AfterturnError as error:
            logger.warning("%d memories follow at the next reconciliation: %s", len(memories) - done, error)
            return
