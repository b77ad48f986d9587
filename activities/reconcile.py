"""Compares Mem0 with the brain, a page at a time."""

from temporalio import activity

from activities.heartbeats import heartbeating
from activities.steps import Mem0Drift, ReconcilePageInput, ReconcilePageResult
from activities.webhook_steps import MemoryHintInput, MemoryReconciled
from services.mem0_store.port import MemoryStore

PAGE_MEMORIES = 1_000


class ReconcileActivities:
    """`store` is None where Mem0 is not configured: then nothing is found."""

    def __init__(self, store: MemoryStore | None) -> None:
        self._store = store

    @activity.defn
    async def reconcile(self, input: ReconcilePageInput) -> ReconcilePageResult:  # noqa: A002
        if self._store is None:
            return ReconcilePageResult()
        async with heartbeating():
            page = await self._store.reconcile(input.after, limit=PAGE_MEMORIES, repair=input.repair)
        found = Mem0Drift.model_validate(page, from_attributes=True)
        return ReconcilePageResult(found=found, next_after=page.next_after)

    @activity.defn
    async def reconcile_one(self, input: MemoryHintInput) -> MemoryReconciled:  # noqa: A002
        """Compare one memory, of which Mem0 told us, with what the brain says."""
        if self._store is None:
            return MemoryReconciled()
        async with heartbeating():
            return MemoryReconciled(mended=await self._store.reconcile_one(input.memory_id))
