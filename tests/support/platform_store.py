"""The hosted platform's store over a test's own servers, and what it and Postgres hold."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import text

from services.domain.memories import NewMemory, Owner
from services.llm_proxy.client import ModelClient
from services.mem0_store.platform import PlatformStore
from services.mem0_store.platform_client import PlatformClient
from services.mem0_store.port import MemoryStore, ReconcilePage
from services.postgres.database import Database
from tests.support.mem0_server import API_KEY, Mem0Server

EMBEDDING_MODEL = "embedding-model"
LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Servers:
    database_url: str
    mem0_url: str
    model_url: str


@asynccontextmanager
async def open_platform(
    servers: Servers, *, answer_seconds: float = 20.0, grace_seconds: float = 0.0
) -> AsyncIterator[PlatformStore]:
    async with (
        Database.open(servers.database_url, pool_size=10) as database,
        ModelClient.open(servers.model_url) as model,
        PlatformClient.open(API_KEY, host=servers.mem0_url, answer_seconds=answer_seconds) as client,
    ):
        yield PlatformStore(
            client,
            database,
            model,
            embedding_model=EMBEDDING_MODEL,
            answer_seconds=answer_seconds,
            grace_seconds=grace_seconds,
        )


def said(slug: str, content: str | None, *, day: int = 0, **fields: object) -> NewMemory:
    """A memory asserted on the given day of a year."""
    return NewMemory(slug, content, LONG_AGO + timedelta(days=day), **fields)  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class Brain:
    """What the brain tables say, by slug: the content and the id in Mem0."""

    contents: dict[str, str]
    memory_ids: dict[str, str]
    intents: list[str]


async def brain_of(database: Database, owner: Owner) -> Brain:
    table, column = ("user_brain", "user_id") if owner.type == "user" else ("company_brain", "company_id")
    async with database.transaction() as session:
        rows = await session.execute(
            text(f"select slug, content, memory_id from {table} where {column} = :id"),  # noqa: S608
            {"id": owner.id},
        )
        left = await session.scalars(text("select slug from mem0_intents where owner_id = :id"), {"id": owner.id})
        found = rows.all()
        return Brain({row.slug: row.content for row in found}, {row.slug: row.memory_id for row in found}, list(left))


async def reconciled(store: MemoryStore, *, repair: bool = True, limit: int = 1_000) -> ReconcilePage:
    """Reconcile all owners, page after page, and add the pages up."""
    pages = [await store.reconcile(None, limit=limit, repair=repair)]
    while pages[-1].next_after is not None:
        pages.append(await store.reconcile(pages[-1].next_after, limit=limit, repair=repair))
    counts = ("checked", "missing_in_mem0", "missing_in_brain", "texts_differ", "duplicates", "foreign", "repaired")
    return ReconcilePage(*(sum(getattr(page, name) for page in pages) for name in counts))


def held(mem0: Mem0Server, owner: Owner) -> dict[str, list[str]]:
    """What Mem0 holds of an owner: the texts by slug."""
    texts: dict[str, list[str]] = {}
    for one in mem0.memories.by_id.values():
        if one.metadata.get("owner_id") == str(owner.id) and one.metadata.get("scope") == owner.type:
            texts.setdefault(one.metadata["slug"], []).append(one.memory)
    return texts
