"""Tells a chunk that can never be digested from an outage, and from a fault of ours that every chunk meets.

docs/decisions/0004-a-probe-tells-poison-from-outage.md says why it is done in this way.
"""

import logging
from typing import Protocol

from services.domain.errors import AfterturnError, ModelRefusedError, ModelUnavailableError
from services.llm_proxy.client import ModelClient
from services.postgres.archive.chunks import Chunks, WaitingChunk
from services.postgres.vectors.written import WrittenVectors

logger = logging.getLogger(__name__)

# So many failures in a row while others succeed, and the chunk is the cause itself.
SUSPECT_AFTER = 5
# These say something of us or of the hour, never of the chunk: who asks, what it costs, how much at once.
NOT_THE_CHUNK = frozenset({401, 402, 403, 404, 429})


class Asker(Protocol):
    """Whoever asks the language model for something, and can ask it for next to nothing in the same way."""

    async def probe(self) -> None: ...


class Suspicion:
    def __init__(self, chunks: Chunks, vectors: WrittenVectors, model: ModelClient) -> None:
        self._chunks = chunks
        self._vectors = vectors
        self._model = model

    async def is_the_cause(self, chunk: WaitingChunk, error: Exception, asker: Asker) -> bool:
        """Say whether the chunk is to be set aside, for it fails again and again where others do not.

        Raises `ModelUnavailableError` when the models refuse a word, too, so that a wrong setting pauses the work.
        """
        if isinstance(error, ModelRefusedError | ModelUnavailableError):
            return await self._models_fail_on_it(chunk, error, asker)
        if isinstance(error, AfterturnError):
            return False
        return await self._we_fail_on_it(chunk, error)

    async def _models_fail_on_it(
        self, chunk: WaitingChunk, error: ModelRefusedError | ModelUnavailableError, asker: Asker
    ) -> bool:
        """Failures are counted only while the models answer a word from others.

        After an outage of days no chunk is suspected because of that outage, however raggedly they come back.
        """
        # Who says when to come back is left alone until then.
        if isinstance(error, ModelUnavailableError) and (
            error.status in NOT_THE_CHUNK or error.retry_after is not None
        ):
            return False
        if not await self._answer_others(asker):
            await self._chunks.trust(chunk.id)
            return False
        if isinstance(error, ModelRefusedError):
            return True
        return await self._chunks.count_failure(chunk.id) >= SUSPECT_AFTER

    async def _we_fail_on_it(self, chunk: WaitingChunk, error: Exception) -> bool:
        """What nobody foresaw is a fault of ours: it counts against the chunk while we digest others."""
        logger.error("chunk %s cannot be digested: %s", chunk.id, type(error).__name__)
        return await self._chunks.count_failure_among_others(chunk.id) >= SUSPECT_AFTER

    async def _answer_others(self, asker: Asker) -> bool:
        try:
            await asker.probe()
            model = await self._vectors.current()
            await self._model.embed(model=model, texts=["hello"], input_type="query", purpose="probe")
        except ModelRefusedError as refusal:
            raise ModelUnavailableError("the model refuses every request", status=refusal.status) from None
        except ModelUnavailableError:
            return False
        return True


def why(error: Exception) -> tuple[str, str]:
    """Give the reason for the quarantine and its detail; the message of what nobody foresaw may quote what was said."""
    if isinstance(error, ModelRefusedError):
        return "model_refuses", str(error)
    if isinstance(error, ModelUnavailableError):
        return "model_fails", str(error)
    return "digest_fails", type(error).__name__
