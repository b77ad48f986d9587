"""From the archive to summaries, vectors and what is worth remembering, a chunk at a time."""

import asyncio
from collections.abc import Container, Mapping, Sequence
from dataclasses import replace
from typing import Literal, TypeVar

from temporalio import activity

from activities.extracting import AnswerErasedError, Decided, Extractor, people_in
from activities.heartbeats import heartbeating, run_id
from activities.memories import ExtractedMemories
from activities.steps import DigestResult, RoomInput, SavedMemories
from activities.summarising import Summariser
from activities.suspicion import Asker, Suspicion, why
from services.domain.errors import TransientError
from services.domain.memories import Owner
from services.domain.messages import ArchivedMessage
from services.domain.transcripts import embedding_text, shorten
from services.llm_proxy.client import ModelClient
from services.llm_proxy.passages import embed_passages
from services.postgres.archive.chunks import Chunks, WaitingChunk
from services.postgres.archive.digests import Digests, Known, Taken, message_item, summary_item
from services.postgres.vectors.tables import Item
from services.postgres.vectors.written import Unembedded, WrittenVectors

Outcome = Literal["digested", "extracted", "split", "quarantined"]
ResultT = TypeVar("ResultT")
# By model.
Made = dict[str, dict[Item, list[float]]]

# No more of a message is embedded: a vector of more says less, and embedders refuse what is too long for them.
EMBEDDING_TOKENS = 2_000


class DigestActivities:
    """Without an `extractor` nobody keeps memories, and no model is asked for them.

    `extracted` saves them at once; without it that is a step of its own, which may wait for a Mem0 far away.
    """

    def __init__(
        self,
        digests: Digests,
        chunks: Chunks,
        summariser: Summariser,
        extractor: Extractor | None,
        extracted: ExtractedMemories | None,
        vectors: WrittenVectors,
        model: ModelClient,
    ) -> None:
        self._digests = digests
        self._chunks = chunks
        self._summariser = summariser
        self._extractor = extractor
        self._extracted = extracted
        self._vectors = vectors
        self._model = model
        self._suspicion = Suspicion(chunks, vectors, model)

    @activity.defn
    async def digest_next(self, input: RoomInput) -> DigestResult:  # noqa: A002
        """Digest the room's next chunk, cutting what is new first; a retry goes on from what is written down."""
        async with heartbeating():
            taken = await self._digests.take(input.room_id)
            if taken is None:
                return DigestResult()
            chunk, memories = taken.chunk, SavedMemories()
            outcome, decided = await self._digest_or_set_aside(taken)
            if outcome == "extracted" and self._extracted:
                memories = await self._save_at_once(chunk, decided, self._extracted)
                outcome = "digested"
            left = await self._leave(chunk, outcome)
        return DigestResult(outcome=outcome, chunk_id=str(chunk.id), left=left, memories=memories)

    async def _leave(self, chunk: WaitingChunk, outcome: Outcome) -> int:
        """Write down what became of the chunk, and count what is left of its room."""
        if outcome == "digested":
            return await self._chunks.digested(chunk, run_id=run_id())
        if outcome == "extracted":
            return await self._chunks.extracted(chunk, run_id=run_id())
        return await self._chunks.count_waiting(chunk.room_id)

    async def _save_at_once(
        self, chunk: WaitingChunk, decided: Decided | None, extracted: ExtractedMemories
    ) -> SavedMemories:
        try:
            return await extracted.save(chunk, decided)
        except AnswerErasedError:
            await self._chunks.wait_again(chunk)
            raise
        except TransientError:
            # It may take days: whoever tries again begins here.
            await self._chunks.extracted(chunk, run_id=run_id())
            raise

    async def _digest_or_set_aside(self, taken: Taken) -> tuple[Outcome, Decided | None]:
        """Say what became of a chunk, and what was decided to save where it was `extracted` right now."""
        chunk = taken.chunk
        asker: Asker = self._summariser
        if chunk.extracted:
            return "extracted", None
        talk = [message for message in chunk.messages if message.remember]
        if not talk:
            return "digested", None
        people = people_in(chunk) if self._extractor else []
        try:
            known = await self._begin(taken, talk, people)
            # Neither needs the other. Where one fails the other is waited for: its answer is paid for.
            summarised, extracted = await asyncio.gather(
                self._summarise(taken, talk, known), self._extract(chunk, people, known), return_exceptions=True
            )
            _value(summarised)
            if self._extractor:
                asker = self._extractor
            decided = _value(extracted)
        except Exception as error:
            if not await self._suspicion.is_the_cause(chunk, error, asker):
                raise
            return await self._set_aside(chunk, error, keep_summaries=asker is self._extractor), None
        return ("extracted", decided) if decided.memories else ("digested", None)

    async def _begin(self, taken: Taken, talk: Sequence[ArchivedMessage], people: Sequence[Owner]) -> Known:
        """Embed the messages that have no vector yet, and give what is known."""
        chunk, items = taken.chunk, taken.unembedded.items
        texts = await asyncio.to_thread(_embedding_texts, talk, set(items))
        made: Made = {}
        found: Known | Unembedded = taken.unembedded
        while isinstance(found, Unembedded):
            await self._embed(found, texts, made, chunk.tenant)
            found = await self._digests.begin(chunk, items, made, people)
        return found

    async def _summarise(self, taken: Taken, talk: Sequence[ArchivedMessage], known: Known) -> None:
        chunk = taken.chunk
        summaries = await self._summariser.summarise(chunk, talk, known, run_id=run_id())
        part = summaries["chunk"]
        texts, made = {summary_item(chunk, part): part.text}, Made()
        if known.is_first and part.text.strip():
            await self._embed(replace(taken.unembedded, items=tuple(texts)), texts, made, chunk.tenant)
        while unembedded := await self._digests.keep(chunk, summaries, made, run_id=run_id()):
            await self._embed(unembedded, texts, made, chunk.tenant)

    async def _extract(self, chunk: WaitingChunk, people: Sequence[Owner], known: Known) -> Decided:
        if self._extractor is None:
            return Decided(())
        return await self._extractor.extract(chunk, people, known, run_id=run_id())

    async def _embed(self, unembedded: Unembedded, texts: Mapping[Item, str], made: Made, tenant: str) -> None:
        """Add the vectors that are needed to those that were `made`, of each model that is written."""
        if not unembedded.items:
            return
        vectors = await embed_passages(
            self._model,
            [texts[item] for item in unembedded.items],
            model=unembedded.model,
            beside=unembedded.beside,
            tenant=tenant,
            purpose="embed",
        )
        for name, each in vectors.items():
            made.setdefault(name, {}).update(zip(unembedded.items, each, strict=True))

    async def _set_aside(self, chunk: WaitingChunk, error: Exception, *, keep_summaries: bool) -> Outcome:
        """Split the chunk; a single message goes to quarantine, with its summary where only the memories failed."""
        if await self._chunks.split(chunk):
            return "split"
        reason, detail = why(error)
        await self._chunks.quarantine(
            chunk, reason=reason, detail=detail, run_id=run_id(), keep_summaries=keep_summaries
        )
        return "quarantined"


def _value(ended: ResultT | BaseException) -> ResultT:
    if isinstance(ended, BaseException):
        raise ended
    return ended


def _embedding_texts(talk: Sequence[ArchivedMessage], items: Container[Item]) -> dict[Item, str]:
    """Give the texts of those messages that are among these."""
    return {
        item: shorten(embedding_text(message, None), EMBEDDING_TOKENS)
        for message in talk
        if (item := message_item(message)) in items
    }
