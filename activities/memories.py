"""Saves what was found in a chunk."""

import logging
from uuid import UUID

from temporalio import activity

from activities.extracting import AnswerErasedError, Decided, Extractor
from activities.heartbeats import heartbeating, run_id
from activities.steps import ChunkInput, SavedMemories
from services.domain.errors import MemoryStoreUnavailableError
from services.memories.saving import MemoryFailure, MemoryService
from services.postgres.archive.chunks import Chunks, WaitingChunk

logger = logging.getLogger(__name__)


class ExtractedMemories:
    """Saves what was decided of an extracted chunk; no model is asked for it again."""

    def __init__(self, extractor: Extractor, memories: MemoryService) -> None:
        self._extractor = extractor
        self._memories = memories

    async def save(self, chunk: WaitingChunk, decided: Decided | None = None) -> SavedMemories:
        """Save them, or what was `decided` right now; one that can never be saved is counted.

        Raises `MemoryStoreUnavailableError` while one may still be: the chunk has to wait.
        """
        saved, failures = 0, list[MemoryFailure]()
        decided = decided or await self._extractor.decided(chunk, run_id=run_id())
        for one in decided.memories:
            result = await self._memories.save(one.owner, one.memories, are_new=decided.is_new)
            saved += result.saved_count
            failures += result.errors
        _wait_for_the_transient(failures)
        if failures:
            logger.warning("%d memories can never be saved", len(failures))
        return SavedMemories(saved=saved, failed=len(failures))


class MemoryActivities:
    def __init__(self, chunks: Chunks, extracted: ExtractedMemories) -> None:
        self._chunks = chunks
        self._extracted = extracted

    @activity.defn
    async def save_memories(self, input: ChunkInput) -> SavedMemories:  # noqa: A002
        """Save the memories of an extracted chunk, and call it digested; or let it be digested again."""
        async with heartbeating():
            chunk = await self._chunks.find_extracted(UUID(input.chunk_id))
            if chunk is None:
                return SavedMemories(left=await self._chunks.count_left_beside(UUID(input.chunk_id)))
            try:
                saved = await self._extracted.save(chunk)
            except AnswerErasedError:
                return SavedMemories(left=await self._chunks.wait_again(chunk))
            left = await self._chunks.digested(chunk, run_id=run_id())
        return saved.model_copy(update={"left": left})


def _wait_for_the_transient(failures: list[MemoryFailure]) -> None:
    """Raise the first failure that may pass. A reason of ours quotes nothing; a slug tells too much."""
    passing = [failure for failure in failures if failure.transient]
    if passing:
        delays = [failure.retry_after for failure in passing if failure.retry_after is not None]
        message = f"{len(passing)} memories were not saved: {passing[0].reason}"
        raise MemoryStoreUnavailableError(message, retry_after=max(delays, default=None))
