"""Lets messages go that are past their retention, and Mem0 follow."""

from dataclasses import dataclass, field

from services.mem0_store.port import MemoryStore
from services.memories.deleting import follow
from services.postgres.upkeep.expired_messages import ExpiredMessages

_COUNTED = {"messages": "messages", "summaries": "summaries", "memories": "memory_versions"}


@dataclass(frozen=True, slots=True)
class ExpiredPage:
    """What went; `next_after` is the room to go on after, None where nothing is left."""

    next_after: str | None
    removed: dict[str, int] = field(default_factory=dict)


class MessageExpiry:
    """`store` is None where memories are not kept."""

    def __init__(self, messages: ExpiredMessages, store: MemoryStore | None) -> None:
        self._messages = messages
        self._store = store

    async def expire_page(self, after: str) -> ExpiredPage:
        """Erase the next page; killed anywhere, it is done again, and Mem0 follows at the next reconciliation."""
        room = await self._messages.next_room(after)
        if room is None:
            return ExpiredPage(None)
        erased = await self._messages.erase(room)
        if self._store is not None:
            await follow(self._store, erased.memories)
        if not erased.counts:
            return ExpiredPage(room)
        return ExpiredPage(after, {name: erased.counts.get(table, 0) for name, table in _COUNTED.items()})
