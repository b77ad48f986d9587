"""What of a fact is searched, and its vector, where the model answers."""

import asyncio
import json
import logging
from collections.abc import Sequence
from typing import Literal

from pydantic import JsonValue

from services.domain.errors import ModelRefusedError, ModelUnavailableError
from services.domain.sections import Name
from services.domain.transcripts import shorten
from services.llm_proxy.client import ModelClient
from services.postgres.vectors.written import WrittenVectors

MOST_CHARACTERS = 8_000
# As much of a text as messages and memories are embedded by.
_TOKENS = 2_000
# Small, so that a slow model answers in time and live requests come in between.
_BATCH = 8

logger = logging.getLogger(__name__)


class FactEmbedding:
    """`written` says by which models: those of messages and memories.

    `seconds` is how long a caller waits for a model; what is not embedded then is found by its words.
    """

    def __init__(self, client: ModelClient, written: WrittenVectors, *, seconds: float) -> None:
        self._client = client
        self.written = written
        self._seconds = seconds

    async def try_to_embed(
        self, model: str, texts: Sequence[str], input_type: Literal["query", "passage"], *, tenant: str | None = None
    ) -> list[list[float]] | None:
        """Give the vectors in the texts' order, or None where the model refuses one or lets the caller wait."""
        try:
            async with asyncio.timeout(self._seconds):
                return await self._embed(model, texts, input_type, tenant=tenant)
        except (ModelUnavailableError, ModelRefusedError, TimeoutError) as error:
            logger.info("facts are not embedded now: %s", type(error).__name__)
            return None

    async def embed_each(self, model: str, texts: Sequence[str]) -> list[list[float] | None]:
        """Give the vectors in the texts' order, however long the model takes, and None for each that it does not embed.

        It is asked for no more once it is found to be away.
        """
        made: list[list[float] | None] = []
        try:
            for start in range(0, len(texts), _BATCH):
                made += await self._embed_batch(model, texts[start : start + _BATCH])
        except (ModelUnavailableError, ModelRefusedError) as error:
            logger.info("facts are not embedded now: %s", error)
        return made + [None] * (len(texts) - len(made))

    async def _embed_batch(self, model: str, texts: Sequence[str]) -> list[list[float] | None]:
        """Embed them together, or each by itself where one may be at fault; raise where the model embeds nothing."""
        try:
            return [*await self._embed(model, texts, "passage")]
        except ModelRefusedError:
            pass
        except ModelUnavailableError:
            await self._embed(model, ["hello"], "passage")
        return [await self._embed_alone(model, text) for text in texts]

    async def _embed_alone(self, model: str, text: str) -> list[float] | None:
        try:
            [vector] = await self._embed(model, [text], "passage")
        except (ModelUnavailableError, ModelRefusedError) as error:
            logger.info("a fact is not embedded: %s", error)
            return None
        return vector

    async def _embed(
        self, model: str, texts: Sequence[str], input_type: Literal["query", "passage"], *, tenant: str | None = None
    ) -> list[list[float]]:
        shown = await asyncio.to_thread(lambda: [shorten(text, _TOKENS) for text in texts])
        return await self._client.embed(model=model, texts=shown, input_type=input_type, tenant=tenant, purpose="facts")


def body_of(name: Name, value: JsonValue) -> str:
    """Give what of a fact is searched: its key as words, and its text."""
    said = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    words = name.key.replace("_", " ").replace(".", " ").replace(":", " ")
    return f"{words}: {said}".replace("\0", " ")[:MOST_CHARACTERS]
