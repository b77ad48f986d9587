"""A store of memories that takes five pages to reconcile, and can be held at each."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from services.domain.memories import NewMemory, Owner, SavedMemory
from services.mem0_store.port import ReconcilePage
from services.resources import Resources
from tests.support.steps import Gates, Watched

PAGES = 5


class FivePages:
    async def save(self, owner: Owner, memory: NewMemory) -> SavedMemory:
        raise AssertionError(f"{memory.slug} of {owner}: nothing is saved here")

    async def erase(self, owner: Owner, entities: Sequence[str]) -> int:  # noqa: ARG002
        return 0

    async def settle(self, owner: Owner, slug: str) -> None:
        raise AssertionError(f"{slug} of {owner}: nothing is settled here")

    async def reconcile_one(self, memory_id: str) -> bool:
        return bool(memory_id)

    async def reconcile(self, after: str | None, *, limit: int, repair: bool = True) -> ReconcilePage:
        page = int(after or "1")
        next_after = str(page + 1) if page < PAGES else None
        return ReconcilePage(checked=limit, repaired=int(repair), next_after=next_after)


def reconciling_pages(resources: Resources, gates: Gates) -> Resources:
    watched: Any = Watched("memory_store", FivePages(), gates.action)
    return replace(resources, memory_store=watched)
