"""Saves what was found in a chunk."""

import logging
from uuid import UUID

from temporalio import activity

from activities.extracting import Extractor, OwnersMemories
from activities.heartbeats import heartbeating, run_id
from activities.steps import ChunkInput, SavedMemories
from services.domain.errors import MemoryStoreUnavailableError
from services.memory_service import MemoryFailure, MemoryService
from services.postgres.chunks import Chunks

logger = logging.getLogger(__name__)


class MemoryActivities:
    def __init__(self, chunks: Chunks, extractor: Extractor, memories: MemoryService) -> None:
        self._chunks = chunks
        self._extractor = extractor
        self._memories = memories

    @activity.defn
    async def save_memories(self, input: ChunkInput) -> SavedMemories:  # noqa: A002
        """Save the memories of an extracted chunk, and call it digested; no model is asked for them again.

        One that can never be saved is counted; while one may still be, the chunk waits.
        """
        async with heartbeating():
            chunk = await self._chunks.find_extracted(UUID(input.chunk_id))
            if chunk is None:
                return SavedMemories()
            found = await self._extractor.decided(chunk, run_id=run_id())
            result = await self._save(found)
            await self._chunks.digested(chunk.id, run_id=run_id())
        return result

    async def _save(self, found: list[OwnersMemories]) -> SavedMemories:
        saved, failures = 0, list[MemoryFailure]()
        for one in found:
            result = await self._memories.save(one.owner, one.memories)
            saved += result.saved_count
            failures += result.errors
        _wait_for_the_transient(failures)
        if failures:
            logger.warning("%d memories can never be saved", len(failures))
        return SavedMemories(saved=saved, failed=len(failures))


def _wait_for_the_transient(failures: list[MemoryFailure]) -> None:
    """Raise the first failure that may pass. A reason of ours quotes nothing; a slug tells too much."""
    passing = [failure for failure in failures if failure.transient]
    if passing:
        delays = [failure.retry_after for failure in passing if failure.retry_after is not None]
        message = f"{len(passing)} memories were not saved: {passing[0].reason}"
        raise MemoryStoreUnavailableError(message, retry_after=max(delays, default=None))
