"""Embeds what is to be kept, by the model that is read and by those that are written beside it."""

import asyncio
import logging
from collections.abc import Sequence

from services.domain.errors import ModelRefusedError, ModelUnavailableError
from services.llm_proxy.client import ModelClient

# Live work waits no longer for a model that nobody reads: what it leaves out is found later.
_BESIDE_SECONDS = 5.0

logger = logging.getLogger(__name__)


async def embed_passages(
    client: ModelClient,
    texts: Sequence[str],
    *,
    model: str,
    beside: Sequence[str] = (),
    purpose: str,
    tenant: str | None = None,
) -> dict[str, list[list[float]]]:
    """Give the vectors by model, each in the texts' order; a model beside may be left out, `model` never is."""

    async def by(name: str) -> list[list[float]]:
        return await client.embed(model=name, texts=texts, input_type="passage", tenant=tenant, purpose=purpose)

    made = {model: await by(model)}
    for other in beside:
        try:
            async with asyncio.timeout(_BESIDE_SECONDS):
                made[other] = await by(other)
        except (ModelUnavailableError, ModelRefusedError, TimeoutError) as error:
            logger.warning("%s embedded nothing beside %s: %s", other, model, type(error).__name__)
    return made
