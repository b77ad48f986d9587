"""Opens every client, and closes all of them, on one loop: for worker, API and commands alike."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from afterturn_client.redis_connection import AnyRedis, open_redis
from temporalio.client import Client

from services import temporal
from services.llm_proxy.client import ModelClient
from services.mem0_store.opening import open_memory_store
from services.mem0_store.port import MemoryStore
from services.memory_service import MemoryService
from services.postgres.answers import Answers
from services.postgres.archive import Archive
from services.postgres.brain import Brain
from services.postgres.chunks import Chunks
from services.postgres.database import Database
from services.postgres.embeddings import Embeddings
from services.postgres.quarantine import Quarantine
from services.postgres.rooms import Rooms
from services.postgres.search import Search
from services.postgres.summaries import Summaries
from services.room_buffer.buffer import RoomBuffer
from services.settings import ChunkSettings, DatabaseSettings, Mem0Settings, ModelSettings, RedisSettings, load

# A claim of large messages takes longer to read than a producer would wait.
REDIS_SECONDS = 20.0
REDIS_CONNECTIONS = 100


@dataclass(frozen=True, slots=True)
class Resources:
    redis: AnyRedis
    buffer: RoomBuffer
    database: Database
    archive: Archive
    chunks: Chunks
    answers: Answers
    summaries: Summaries
    embeddings: Embeddings
    quarantine: Quarantine
    rooms: Rooms
    search: Search
    brain: Brain
    memories: MemoryService
    memory_store: MemoryStore | None
    model: ModelClient
    models: ModelSettings
    temporal: Client


@asynccontextmanager
async def open_resources() -> AsyncIterator[Resources]:
    """Open everything as the environment says. Nothing is asked yet: each client connects at its first use."""
    models, chunking, postgres = load(ModelSettings), load(ChunkSettings), load(DatabaseSettings)
    async with AsyncExitStack() as stack:
        redis = await stack.enter_async_context(_redis(load(RedisSettings)))
        database = await stack.enter_async_context(
            Database.open(postgres.database_url, pool_size=postgres.database_pool_size)
        )
        model = await stack.enter_async_context(
            ModelClient.open(
                models.llm_proxy_url,
                api_key=models.proxy_key,
                timeout_completion=2 * models.api_timeout,
                timeout_embedding=models.api_timeout,
            )
        )
        store = await stack.enter_async_context(
            open_memory_store(load(Mem0Settings), postgres=postgres, models=models, database=database, model=model)
        )
        yield Resources(
            redis=redis,
            buffer=RoomBuffer(redis),
            database=database,
            archive=Archive(database),
            chunks=Chunks(database, max_tokens=chunking.chunk_tokens, max_messages=chunking.chunk_messages),
            answers=Answers(database),
            summaries=Summaries(database),
            embeddings=Embeddings(database, models.embedding_model),
            quarantine=Quarantine(database),
            rooms=Rooms(database),
            search=Search(database, models.embedding_model),
            brain=Brain(database),
            memories=MemoryService(store),
            memory_store=store,
            model=model,
            models=models,
            temporal=await temporal.connect(lazy=True),
        )


@asynccontextmanager
async def _redis(settings: RedisSettings) -> AsyncIterator[AnyRedis]:
    redis = open_redis(
        settings.redis_url,
        cluster=settings.redis_cluster,
        answer_seconds=REDIS_SECONDS,
        connections=REDIS_CONNECTIONS,
    )
    try:
        yield redis
    finally:
        await redis.aclose()
