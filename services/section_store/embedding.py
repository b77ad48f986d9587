"""What of a fact is searched, and its vector, where the model answers."""

import asyncio
import json
import logging
from collections.abc import Sequence
from typing import Literal

from pydantic import JsonValue

from services.domain.errors import ModelRefusedError, ModelUnavailableError
from services.domain.sections import Name
from services.llm_proxy.client import ModelClient
from services.postgres.vectors.written import WrittenVectors

MOST_CHARACTERS = 8_000

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
        try:
            async with asyncio.timeout(self._seconds):
                return await self._client.embed(
                    model=model, texts=texts, input_type=input_type, tenant=tenant, purpose="facts"
                )
        except (ModelUnavailableError, ModelRefusedError, TimeoutError) as error:
            logger.info("facts are not embedded now: %s", type(error).__name__)
            return None


def body_of(name: Name, value: JsonValue) -> str:
    """Give what of a fact is searched: its key as words, and its text."""
    said = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    words = name.key.replace("_", " ").replace(".", " ").replace(":", " ")
    return f"{words}: {said}".replace("\0", " ")[:MOST_CHARACTERS]
