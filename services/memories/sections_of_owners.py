"""What the section store keeps of an owner, as forgetting and exports see it."""

from collections.abc import AsyncIterator, Mapping
from typing import Any

from services.domain.memories import Owner
from services.section_store.store import SectionStore


class SectionsOfOwners:
    name = "sections"

    def __init__(self, store: SectionStore) -> None:
        self._store = store

    async def erase(self, owner: Owner) -> Mapping[str, int]:
        erased = await self._store.erase(owner)
        return {"values": erased.values, "commands": erased.commands, "keys": erased.keys}

    def export(self, owner: Owner) -> AsyncIterator[dict[str, Any]]:
        return self._store.export(owner)
