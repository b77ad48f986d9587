"""Opens every client, and closes all of them, on one loop: for worker, API and commands alike."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from afterturn_client.redis_connection import AnyRedis, open_redis
from temporalio.client import Client

from services import temporal
from services.domain.owners_data import OwnersData
from services.llm_proxy.client import ModelClient
from services.mem0_store.opening import open_memory_store
from services.mem0_store.port import MemoryStore
from services.memories.context import ContextBuilder
from services.memories.recent_messages import RecentMessages
from services.memories.saving import MemoryService
from services.memories.searching import Searching
from services.memories.sections_of_owners import SectionsOfOwners
from services.postgres.archive.answers import Answers
from services.postgres.archive.chunks import Chunks
from services.postgres.archive.digests import Digests
from services.postgres.archive.quarantine import Quarantine
from services.postgres.archive.room_reading import RoomReading
from services.postgres.archive.rooms import Rooms
from services.postgres.archive.summaries import Summaries
from services.postgres.archive.writing import Archive
from services.postgres.database import Database
from services.postgres.memories.brain import Brain
from services.postgres.vectors.written import WrittenVectors
from services.room_buffer.buffer import RoomBuffer
from services.section_store.embedding import FactEmbedding
from services.section_store.store import SectionStore
from services.settings import (
    ChunkSettings,
    DatabaseSettings,
    Mem0Settings,
    ModelSettings,
    RedisSettings,
    SectionSettings,
    load,
)

# A claim of large messages takes longer to read than a producer would wait.
REDIS_SECONDS = 20.0
REDIS_CONNECTIONS = 100
# What the model does not embed by then is found by its words.
FACT_EMBEDDING_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class Resources:
    redis: AnyRedis
    buffer: RoomBuffer
    database: Database
    archive: Archive
    chunks: Chunks
    digests: Digests
    answers: Answers
    summaries: Summaries
    vectors: WrittenVectors
    quarantine: Quarantine
    rooms: Rooms
    reading: RoomReading
    recent: RecentMessages
    context: ContextBuilder
    searching: Searching
    sections: SectionStore
    brain: Brain
    memories: MemoryService
    memory_store: MemoryStore | None
    model: ModelClient
    models: ModelSettings
    temporal: Client
    owners_data: tuple[OwnersData, ...] = ()


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
        vectors = WrittenVectors(database, models.embedding_model)
        chunks = Chunks(database, max_tokens=chunking.chunk_tokens, max_messages=chunking.chunk_messages)
        searching = Searching(database, model, vectors)
        buffer, brain, summaries = RoomBuffer(redis), Brain(database), Summaries(database)
        reading = RoomReading(database)
        section = load(SectionSettings)
        section_redis = await stack.enter_async_context(_redis(load(RedisSettings), section.section_redis_seconds))
        embedding = FactEmbedding(model, vectors, seconds=FACT_EMBEDDING_SECONDS)
        sections = await stack.enter_async_context(SectionStore.open(section_redis, database, section, embedding))
        recent = RecentMessages(buffer, reading)
        yield Resources(
            redis=redis,
            buffer=buffer,
            database=database,
            archive=Archive(database),
            chunks=chunks,
            digests=Digests(database, chunks, vectors),
            answers=Answers(database),
            summaries=summaries,
            vectors=vectors,
            quarantine=Quarantine(database),
            rooms=Rooms(database),
            reading=reading,
            recent=recent,
            context=ContextBuilder(searching, brain, summaries, reading, recent),
            searching=searching,
            sections=sections,
            brain=brain,
            memories=MemoryService(store),
            memory_store=store,
            model=model,
            models=models,
            temporal=await temporal.connect(lazy=True),
            owners_data=(SectionsOfOwners(sections),),
        )


@asynccontextmanager
async def _redis(settings: RedisSettings, answer_seconds: float = REDIS_SECONDS) -> AsyncIterator[AnyRedis]:
    redis = open_redis(
        settings.redis_url,
        cluster=settings.redis_cluster,
        answer_seconds=answer_seconds,
        connections=REDIS_CONNECTIONS,
    )
    try:
        yield redis
    finally:
        await redis.aclose()
