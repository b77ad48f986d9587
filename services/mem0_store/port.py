"""What keeps a memory in Mem0 and in its brain, one to one."""

from dataclasses import dataclass
from typing import Protocol

from services.domain.memories import NewMemory, Owner, SavedMemory


@dataclass(frozen=True, slots=True)
class ReconcilePage:
    """What one page of a reconciliation found. `next_after` is the cursor of the next page; None after the last.

    `foreign` counts what stands in Mem0 without a brain id of ours: it is never touched.
    """

    checked: int = 0
    missing_in_mem0: int = 0
    missing_in_brain: int = 0
    texts_differ: int = 0
    duplicates: int = 0
    foreign: int = 0
    repaired: int = 0
    next_after: str | None = None

    @property
    def drift(self) -> int:
        """Count what did not agree, before anything was repaired."""
        return self.missing_in_mem0 + self.missing_in_brain + self.texts_differ + self.duplicates


class MemoryStore(Protocol):
    async def save(self, owner: Owner, memory: NewMemory) -> SavedMemory:
        """Save a memory in both, or end it in both where it has no content; saving it again changes nothing.

        Raises the `TransientError` family where trying again may succeed, `PermanentError` where it never can.
        """

    async def reconcile(self, after: str | None, *, limit: int, repair: bool = True) -> ReconcilePage:
        """Compare up to `limit` memories after the cursor in both directions, and repair what does not agree."""
