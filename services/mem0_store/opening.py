"""Decides which Mem0 keeps the memories, and opens it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from services.llm_proxy.client import ModelClient
from services.mem0_store.open_source import OpenSourceStore
from services.mem0_store.platform import PlatformStore
from services.mem0_store.platform_client import PlatformClient
from services.mem0_store.port import MemoryStore
from services.postgres.database import Database
from services.settings import DatabaseSettings, Mem0Settings, ModelSettings


def is_mem0_configured(settings: Mem0Settings) -> bool:
    return settings.mem0_backend is not None or settings.mem0_api_key is not None


@asynccontextmanager
async def open_memory_store(
    settings: Mem0Settings, *, postgres: DatabaseSettings, models: ModelSettings, database: Database, model: ModelClient
) -> AsyncIterator[MemoryStore | None]:
    """Open the store that the settings name, on the running loop; None where they name none."""
    if settings.mem0_backend == "open_source":
        async with OpenSourceStore.open(postgres.database_url, model, models.embedding_model) as store:
            yield store
    elif key := settings.mem0_api_key:
        client = PlatformClient.open(
            key.get_secret_value(), host=settings.mem0_host, answer_seconds=settings.mem0_timeout
        )
        async with client as opened:
            yield PlatformStore(
                opened,
                database,
                model,
                embedding_model=models.embedding_model,
                answer_seconds=settings.mem0_timeout,
                grace_seconds=settings.mem0_grace_seconds,
            )
    else:
        yield None
