"""From the archive to summaries, vectors and what is worth remembering, a chunk at a time."""

import asyncio
from collections.abc import Sequence
from typing import Literal, Protocol

from temporalio import activity

from activities.extracting import Extractor
from activities.heartbeats import heartbeating, run_id
from activities.steps import DigestResult, RoomInput
from activities.summarising import Summariser
from services.domain.errors import ModelRefusedError, ModelUnavailableError
from services.domain.ids import message_uid
from services.domain.messages import ArchivedMessage
from services.domain.transcripts import embedding_text, shorten
from services.llm_proxy.client import ModelClient
from services.postgres.chunks import Chunks, WaitingChunk
from services.postgres.embeddings import Embeddings, Item
from services.postgres.summaries import Summaries

Outcome = Literal["digested", "extracted", "split", "quarantined"]

# So many failures in a row, and a chunk is suspected to be the cause itself.
SUSPECT_AFTER = 5
# No more of a message is embedded: a vector of more says less, and embedders refuse what is too long for them.
EMBEDDING_TOKENS = 2_000
# These say something of us or of the hour, never of the chunk: who asks, what it costs, how much at once.
NOT_THE_CHUNK = frozenset({401, 402, 403, 404, 429})


class Asker(Protocol):
    """Whoever asks the language model for something, and can ask it for next to nothing in the same way."""

    async def probe(self) -> None: ...


class DigestActivities:
    """Without an `extractor` nobody keeps memories, and no model is asked for them."""

    def __init__(
        self,
        chunks: Chunks,
        summariser: Summariser,
        extractor: Extractor | None,
        summaries: Summaries,
        embeddings: Embeddings,
        model: ModelClient,
        *,
        embedding_model: str,
    ) -> None:
        self._chunks = chunks
        self._summariser = summariser
        self._extractor = extractor
        self._summaries = summaries
        self._embeddings = embeddings
        self._model = model
        self._embedding_model = embedding_model

    @activity.defn
    async def digest_next(self, input: RoomInput) -> DigestResult:  # noqa: A002
        """Digest the room's next chunk, cutting what is new first; a retry goes on from what is written down."""
        async with heartbeating():
            chunk = await self._next(input.room_id)
            if chunk is None:
                return DigestResult()
            outcome = await self._digest_or_set_aside(chunk)
            done = chunk.id if outcome == "extracted" else None
            left = await self._chunks.count_waiting(input.room_id, besides=done)
        return DigestResult(outcome=outcome, chunk_id=str(chunk.id), left=left)

    async def _next(self, room_id: str) -> WaitingChunk | None:
        waiting = await self._chunks.next_waiting(room_id)
        if waiting is None and await self._chunks.cut_new(room_id):
            waiting = await self._chunks.next_waiting(room_id)
        return waiting

    async def _digest_or_set_aside(self, chunk: WaitingChunk) -> Outcome:
        asker: Asker = self._summariser
        try:
            if not chunk.extracted:
                await self._digest(chunk)
            if self._extractor:
                asker = self._extractor
                if chunk.extracted or await self._extractor.extract(chunk, run_id=run_id()):
                    await self._chunks.extracted(chunk.id, run_id=run_id())
                    return "extracted"
        except (ModelRefusedError, ModelUnavailableError) as error:
            if not await self._is_the_cause(chunk, error, asker):
                raise
            return await self._set_aside(chunk, error, keep_summaries=asker is self._extractor)
        await self._chunks.digested(chunk.id, run_id=run_id())
        return "digested"

    async def _digest(self, chunk: WaitingChunk) -> None:
        talk = [message for message in chunk.messages if message.remember]
        if not talk:
            return
        summary = await self._summariser.summarise(chunk, talk, run_id=run_id())
        summary_id = await self._summaries.save(chunk.room_id, chunk.id, "chunk", summary, run_id=run_id())
        rolling = await self._summariser.roll(chunk, summary, run_id=run_id())
        await self._summaries.save(chunk.room_id, chunk.id, "rolling", rolling, run_id=run_id())
        texts = await asyncio.to_thread(_embedding_texts, chunk.room_id, talk)
        await self._embed({**texts, Item(summary_id, "summary", chunk.room_id): summary.text}, chunk.tenant)

    async def _embed(self, texts: dict[Item, str], tenant: str) -> None:
        missing = await self._embeddings.missing([item for item, text in texts.items() if text.strip()])
        if missing:
            vectors = await self._model.embed(
                model=self._embedding_model,
                texts=[texts[item] for item in missing],
                input_type="passage",
                tenant=tenant,
                purpose="embed",
            )
            await self._embeddings.save(dict(zip(missing, vectors, strict=True)))

    async def _is_the_cause(
        self, chunk: WaitingChunk, error: ModelRefusedError | ModelUnavailableError, asker: Asker
    ) -> bool:
        """Tell a poison chunk from an outage: the models answer a word from anybody else.

        Raises `ModelUnavailableError` when they refuse that too, so that a wrong setting pauses the work.
        """
        if isinstance(error, ModelUnavailableError):
            failures = await self._chunks.count_failure(chunk.id)
            if failures < SUSPECT_AFTER or error.status in NOT_THE_CHUNK:
                return False
        try:
            await asker.probe()
            await self._model.embed(model=self._embedding_model, texts=["hello"], input_type="query", purpose="probe")
        except ModelRefusedError as refusal:
            raise ModelUnavailableError("the model refuses every request", status=refusal.status) from None
        except ModelUnavailableError:
            return False
        return True

    async def _set_aside(
        self, chunk: WaitingChunk, error: ModelRefusedError | ModelUnavailableError, *, keep_summaries: bool
    ) -> Outcome:
        """Split the chunk; a single message goes to quarantine, with its summary where only the memories failed."""
        if await self._chunks.split(chunk):
            return "split"
        reason = "model_refuses" if isinstance(error, ModelRefusedError) else "model_fails"
        await self._chunks.quarantine(
            chunk, reason=reason, detail=str(error), run_id=run_id(), keep_summaries=keep_summaries
        )
        return "quarantined"


def _embedding_texts(room_id: str, talk: Sequence[ArchivedMessage]) -> dict[Item, str]:
    return {
        Item(message_uid(room_id, message.id), "message", room_id): shorten(
            embedding_text(message, None), EMBEDDING_TOKENS
        )
        for message in talk
    }
