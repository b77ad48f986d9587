"""A section store on a test's own servers."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from afterturn_client.redis_connection import open_redis

from services.llm_proxy.client import ModelClient
from services.postgres.database import Database
from services.postgres.vectors.written import WrittenVectors
from services.section_store.embedding import FactEmbedding
from services.section_store.store import SectionStore
from services.settings import SectionSettings

MODEL = "embedding-model"
# Short, so that a test sees what is waited for.
TRUST_SECONDS = 0.3
# Long, so that a busy machine is not taken for a Redis or a model that is away.
PATIENCE_SECONDS = 20.0


@asynccontextmanager
async def open_sections(
    redis_url: str,
    database_url: str,
    model: ModelClient | None = None,
    *,
    answer_seconds: float = PATIENCE_SECONDS,
    embedding_seconds: float = PATIENCE_SECONDS,
    **settings: Any,
) -> AsyncIterator[SectionStore]:
    """Open a store with clients of its own, as another process would have it."""
    chosen = SectionSettings(_env_file=None, **{"section_trust_seconds": TRUST_SECONDS, **settings})
    async with (
        open_redis(redis_url, answer_seconds=answer_seconds) as redis,
        Database.open(database_url) as database,
    ):
        embedding = FactEmbedding(model, WrittenVectors(database, MODEL), seconds=embedding_seconds) if model else None
        async with SectionStore.open(redis, database, chosen, embedding) as store:
            yield store
