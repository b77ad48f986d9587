"""What keeps a memory in Mem0 and in its brain, one to one."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from services.domain.memories import NewMemory, Owner, SavedMemory

Outcome = SavedMemory | Exception


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

    async def save_many(self, said: Sequence[tuple[Owner, NewMemory]], *, are_new: bool = False) -> list[Outcome]:
        """Save many, each for itself; answer in their order what became of each, or the error that kept it out.

        Where most likely nothing is known of them they `are_new`: what they need is made ready ahead.
        """

    async def erase(self, owner: Owner, entities: Sequence[str]) -> int:
        """Delete at once what Mem0 holds of an owner and no brain record stands for; answer how many memories went.

        `entities` are what Mem0 may call the owner, who may be gone. What is not ours is never touched.
        """

    async def settle(self, owner: Owner, slug: str) -> None:
        """Make Mem0 hold at once what the brain says of one memory, whoever was at it before."""

    async def reconcile_one(self, memory_id: str) -> bool:
        """Compare one memory in Mem0 with its brain record, and mend it; tell whether that was needed.

        What is not ours is never touched.
        """

    async def reconcile(self, after: str | None, *, limit: int, repair: bool = True) -> ReconcilePage:
        """Compare up to `limit` memories after the cursor in both directions, and repair what does not agree."""
