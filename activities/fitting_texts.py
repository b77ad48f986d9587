"""Embeds stored texts by a model that may take less of them than another did."""

import asyncio
from collections.abc import Sequence

from services.domain.errors import ModelRefusedError
from services.domain.transcripts import shorten
from services.llm_proxy.client import ModelClient

# As much of a text as live work embeds; a model that refuses that is given less and less.
_TOKENS = (2_000, 500, 120)


class FittingTexts:
    """The same text always comes to the same length, so that its vector can be made again and compared."""

    def __init__(self, client: ModelClient) -> None:
        self._client = client

    async def embed(self, model: str, texts: Sequence[str]) -> list[list[float] | None]:
        """Give the vectors in the texts' order; None is a text that the model refuses at any length."""
        try:
            return list(await self._embed(model, texts, _TOKENS[0]))
        except ModelRefusedError:
            return [await self._embed_one(model, text) for text in texts]

    async def _embed_one(self, model: str, text: str) -> list[float] | None:
        for tokens in _TOKENS:
            try:
                [vector] = await self._embed(model, [text], tokens)
            except ModelRefusedError:
                continue
            return vector
        return None

    async def _embed(self, model: str, texts: Sequence[str], tokens: int) -> list[list[float]]:
        shown = await asyncio.to_thread(lambda: [shorten(text, tokens) for text in texts])
        return await self._client.embed(model=model, texts=shown, input_type="passage", purpose="reembed")
