"""Makes happen what webhooks are told of, without a worker, and reads what is queued."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from sqlalchemy import text
from sqlalchemy.orm import Session

from services.domain.memories import NewMemory, Owner, brain_id
from services.domain.messages import ClaimedEntry, NewMessage
from services.domain.webhooks import EVENT_TYPES, EventType, make_secret
from services.postgres.api.webhooks import Webhook, Webhooks
from services.postgres.archive.chunks import Chunks
from services.postgres.archive.writing import Archive
from services.postgres.database import Database, Tenant
from services.postgres.memories.writing import know_owner, record

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
SECRET = make_secret()
WORDS = "the secret words"
URL = "http://127.0.0.1:9/hooks"


async def add_webhook(
    database: Database, owner: Owner | None = None, url: str = URL, events: tuple[EventType, ...] = EVENT_TYPES
) -> Webhook:
    return await Webhooks(database).add(url, events, owner, secret=SECRET)


def mem0_id(owner: Owner, slug: str) -> str:
    return f"mem0-{brain_id(owner, slug)}"


def write_memory(session: Session, owner: Owner, slug: str, content: str | None, *, day: int = 0) -> None:
    memory = NewMemory(slug, content, NOON + timedelta(days=day), run_id="a-run")
    know_owner(session, owner)
    record(session, owner, memory, memory_id=mem0_id(owner, slug))


async def remember(database: Database, owner: Owner, slug: str, content: str | None, *, day: int = 0) -> None:
    """Save a memory under the owner's own rights."""
    async with database.transaction(Tenant.of(owner)) as session:
        await session.run_sync(write_memory, owner, slug, content, day=day)


async def digest(
    database: Database, room: str, *ids: str, user_id: str | None = None, company_id: str | None = None
) -> None:
    """Archive messages of a room and have them digested."""
    chunks = Chunks(database, max_tokens=1_000, max_messages=10)
    said = [NewMessage(one, "user", f"{WORDS} {one}", user_id, company_id, NOON) for one in ids]
    entries = [ClaimedEntry(place, b"{}", one) for place, one in enumerate(said)]
    await Archive(database).add(room, f"claim {uuid4().hex}", entries, run_id="a-run")
    while chunk := await chunks.next_waiting(room):
        await chunks.digested(chunk, run_id="a-run")


async def queued(database: Database, webhook: Webhook | None = None) -> list[Any]:
    """Give the rows of the outbox in their order."""
    wanted = "select * from outbox where webhook_id = coalesce(:webhook, webhook_id) order by seq"
    async with database.transaction() as session:
        return list((await session.execute(text(wanted), {"webhook": webhook.id if webhook else None})).all())


def changes(rows: list[Any]) -> list[str]:
    return [row.data["change"] if row.type == "memory.changed" else row.data["message_id"] for row in rows]
