"""Merges memories that say the same, compresses large values, and keeps the planner's statistics fresh."""

from uuid import UUID

from temporalio import activity

from activities.heartbeats import heartbeating, run_id
from activities.maintenance_ports import SectionUpkeep
from activities.maintenance_steps import Optimized, OptimizePageInput, OptimizePageResult
from activities.step_pace import StepPace
from services.domain.memories import Owner
from services.memories.merging import Merging
from services.postgres.memories.merges import Merges
from services.postgres.upkeep.statistics import Upkeep

PAGE_OWNERS = 200
PAGE_VALUES = 1_000


class OptimizeActivities:
    """`merging` is None where Mem0 is not configured: then no memory is touched."""

    def __init__(
        self,
        merges: Merges,
        merging: Merging | None,
        sections: SectionUpkeep,
        upkeep: Upkeep,
        *,
        page_owners: int = PAGE_OWNERS,
    ) -> None:
        self._merges = merges
        self._merging = merging
        self._sections = sections
        self._upkeep = upkeep
        self._page_owners = page_owners

    @activity.defn
    async def merge_memories(self, input: OptimizePageInput) -> OptimizePageResult:  # noqa: A002
        """Merge what says the same among the next owners, for some seconds; say where to go on."""
        if self._merging is None:
            return OptimizePageResult()
        async with heartbeating():
            owners = await self._merges.owners(_owner(input.after), limit=self._page_owners)
            pace, found, done = StepPace(None, largest_batch=1), Optimized(), 0
            for owner in owners:
                merged = await self._merging.merge(owner, run_id=run_id())
                found = found.plus(Optimized(owners=1, merged=merged.merged, dropped=merged.dropped))
                done += 1
                if pace.is_over():
                    break
        finished = done == len(owners) < self._page_owners
        return OptimizePageResult(found=found, next_after=None if finished else _cursor(owners[done - 1]))

    @activity.defn
    async def pack_values(self, input: OptimizePageInput) -> OptimizePageResult:  # noqa: A002
        """Compress what the section store keeps uncompressed, for some seconds; say where to go on."""
        async with heartbeating():
            pace, found, after = StepPace(None, largest_batch=PAGE_VALUES), Optimized(), input.after
            while True:
                page = await self._sections.pack(after, limit=PAGE_VALUES)
                found = found.plus(Optimized(packed=page.packed, saved_bytes=page.saved_bytes))
                after = page.cursor
                if after is None or pace.is_over():
                    return OptimizePageResult(found=found, next_after=after)

    @activity.defn
    async def analyze_tables(self) -> Optimized:
        """Analyse the tables of which much has changed."""
        async with heartbeating():
            return Optimized(analyzed=len(await self._upkeep.analyze_changed()))


def _cursor(owner: Owner) -> str:
    return f"{owner.type}:{owner.id}"


def _owner(cursor: str | None) -> Owner | None:
    if cursor is None:
        return None
    kind, _, id_ = cursor.partition(":")
    return Owner("company" if kind == "company" else "user", UUID(id_))
