"""Records turns as the settings say, for the memory API and the command line."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from afterturn_client.memory_client import MemoryClient

from services.settings import BufferSettings, RedisSettings, load


@asynccontextmanager
async def open_recorder(seconds: float | None = None) -> AsyncIterator[MemoryClient]:
    """Open a client with a connection of its own: whoever records waits behind nobody who reads.

    `seconds` is how long a recording may take; left out, it is `RECORD_SECONDS`.
    """
    redis = load(RedisSettings)
    async with MemoryClient.connect(
        redis.redis_url,
        redis_cluster=redis.redis_cluster,
        batch_size=load(BufferSettings).batch_size,
        seconds=seconds or redis.record_seconds,
    ) as client:
        yield client
