"""Reads what webhooks are to be told, and keeps what became of it. Triggers queue it (`0011_webhooks.sql`)."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import case, func, select, update

from services.postgres.database import Database
from services.postgres.tables.webhooks import OutboxRow, WebhookRow

_WEBHOOK, _EVENT = WebhookRow, OutboxRow


@dataclass(frozen=True, slots=True)
class Event:
    """What happened: `data` holds ids and no content."""

    seq: int
    id: UUID
    type: str
    occurred_at: datetime
    data: dict[str, Any]
    attempts: int


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where events go, and how they are signed."""

    url: str
    secret: str = field(repr=False)


class Outbox:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def waiting(self, *, besides_failing: bool = False, limit: int | None = None) -> list[UUID]:
        """Give the webhooks that are to be told something; `besides_failing` those only that answered the last time."""
        left = select(_EVENT.seq).where(_EVENT.webhook_id == _WEBHOOK.id, _EVENT.state == "waiting").exists()
        wanted = select(_WEBHOOK.id).where(_WEBHOOK.active, left).order_by(_WEBHOOK.id).limit(limit)
        if besides_failing:
            wanted = wanted.where(_WEBHOOK.failing_since.is_(None))
        async with self._database.transaction() as session:
            return list(await session.scalars(wanted))

    async def endpoint(self, webhook: UUID) -> Endpoint | None:
        """Give where a webhook's events go; None for one that was removed or has ended."""
        async with self._database.transaction() as session:
            row = await session.get(_WEBHOOK, webhook)
            return Endpoint(row.url, row.secret) if row and row.active else None

    async def next(self, webhook: UUID, *, limit: int) -> list[Event]:
        """Give what a webhook is to be told next, in order."""
        page = select(_EVENT).where(_EVENT.webhook_id == webhook, _EVENT.state == "waiting")
        async with self._database.transaction() as session:
            rows = await session.scalars(page.order_by(_EVENT.seq).limit(limit))
            return [Event(r.seq, r.event_id, r.type, r.occurred_at, r.data, r.attempts) for r in rows]

    async def delivered(self, webhook: UUID, event: Event) -> None:
        async with self._database.transaction() as session:
            await session.execute(_ended(event, "delivered"))
            answers = update(_WEBHOOK).where(_WEBHOOK.id == webhook, _WEBHOOK.failing_since.is_not(None))
            await session.execute(answers.values(failing_since=None, failure=None))

    async def refused(self, event: Event) -> None:
        """Set an event aside that its endpoint will never take, so that those behind it are told."""
        async with self._database.transaction() as session:
            await session.execute(_ended(event, "refused"))

    async def failed(self, webhook: UUID, event: Event, failure: str, *, give_up_after: timedelta) -> bool:
        """Note that an endpoint did not take an event; answer whether it failed for so long that it is given up."""
        row = _WEBHOOK
        is_over = func.coalesce(row.failing_since, func.now()) < func.now() - give_up_after
        change = update(row).where(row.id == webhook, row.active)
        values = {
            "failing_since": func.coalesce(row.failing_since, func.now()),
            "failure": failure,
            "active": ~is_over,
            "ended": case((is_over, "failed too long")),
        }
        async with self._database.transaction() as session:
            await session.execute(update(_EVENT).where(_EVENT.seq == event.seq).values(attempts=_EVENT.attempts + 1))
            return await session.scalar(change.values(values).returning(row.active)) is not True

    async def gone(self, webhook: UUID) -> None:
        """End a webhook whose endpoint wants no more. What waits stays, and is told if it is replayed."""
        change = update(_WEBHOOK).where(_WEBHOOK.id == webhook, _WEBHOOK.active)
        async with self._database.transaction() as session:
            await session.execute(change.values(active=False, ended="gone", failure="status 410"))


def _ended(event: Event, state: str) -> Any:  # noqa: ANN401  SQLAlchemy's own type of it says no more
    waiting = update(_EVENT).where(_EVENT.seq == event.seq, _EVENT.state == "waiting")
    return waiting.values(state=state, attempts=_EVENT.attempts + 1, ended_at=func.now())
