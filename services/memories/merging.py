"""Merges memories that say the same, through the memory service, so that Mem0 follows; and undoes it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal
from uuid import UUID

from services.domain.errors import MemoryStoreUnavailableError, PermanentError
from services.domain.memories import NewMemory, Owner
from services.memories.saving import MemoryService, SaveResult
from services.postgres.memories.merges import Merge, Merges


@dataclass(frozen=True, slots=True)
class Merged:
    """What became of an owner's merges; `dropped` are those that were planned and do not hold any more."""

    merged: int = 0
    dropped: int = 0


@dataclass(frozen=True, slots=True)
class Undone:
    """`restored`: it stands again. `changed`: somebody has said something of it since, which was left alone."""

    merge: Merge
    outcome: Literal["restored", "changed"]


class Merging:
    def __init__(self, memories: MemoryService, merges: Merges) -> None:
        self._memories = memories
        self._merges = merges

    async def merge(self, owner: Owner, *, run_id: str) -> Merged:
        """Merge what says the same among an owner's memories, beginning with what others left under way."""
        await self._merges.plan(owner, run_id=run_id)
        made = [await self._make(merge) for merge in await self._merges.under_way(owner)]
        return Merged(merged=made.count("merged"), dropped=made.count("dropped"))

    async def undo(self, id_: UUID) -> Undone | None:
        """Let an ended memory stand again as of now, once; None where no merge that is done has this id.

        Its history stays, and the two are never merged again by themselves.
        """
        merge = await self._merges.begin_undo(id_)
        if merge is None:
            return None
        restored = await self._merges.to_restore(merge)
        if restored is None:
            return Undone(merge, "changed")
        _check(await self._memories.save(merge.owner, [restored]))
        return Undone(merge, "restored")

    async def _make(self, merge: Merge) -> Literal["merged", "dropped", "by another"]:
        """Make a merge, or finish it: each part may have been saved before, and changes nothing the second time."""
        parts = await self._merges.work(merge)
        if parts is None or not await self._saved(merge.owner, parts):
            await self._merges.drop(merge)
            return "dropped"
        return "merged" if await self._merges.finish(merge) else "by another"

    async def _saved(self, owner: Owner, parts: Sequence[NewMemory]) -> bool:
        """The kept one comes first: nothing is ended before another one says it with all of its sources."""
        for part in parts:
            try:
                _check(await self._memories.save(owner, [part]))
            except PermanentError:
                return False
        return True


def _check(result: SaveResult) -> None:
    for error in result.errors:
        if error.transient:
            raise MemoryStoreUnavailableError("a merge was not saved", retry_after=error.retry_after)
        raise PermanentError("a merge can never be saved")
