"""Keeps webhooks: made, listed, removed, replayed."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import cast
from uuid import UUID, uuid4

from sqlalchemy import ColumnElement, delete, func, select, true, tuple_, update

from services.domain.memories import Owner, OwnerType
from services.domain.webhooks import EventType
from services.postgres.database import Database
from services.postgres.tables.webhooks import OutboxRow, WebhookRow

_WEBHOOK, _EVENT = WebhookRow, OutboxRow


@dataclass(frozen=True, slots=True)
class Webhook:
    """`ended` is why it is told nothing any more; `waiting` is how many events it has not taken yet."""

    id: UUID
    url: str
    events: tuple[EventType, ...]
    owner: Owner | None
    ended: str | None
    failing_since: datetime | None
    failure: str | None
    waiting: int
    created_at: datetime


class Webhooks:
    """Read and written as the system. With `within`, only the webhooks of these owners are seen."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, url: str, events: Collection[EventType], owner: Owner | None, *, secret: str) -> Webhook:
        """Add a webhook, which is told of what happens from now on."""
        row = WebhookRow(id=uuid4(), url=url, events=sorted(set(events)), secret=secret)
        if owner:
            row.owner_type, row.owner_id, row.owner_external_id = owner.type, owner.id, owner.external_id
        async with self._database.transaction() as session:
            session.add(row)
            await session.flush()
            await session.refresh(row)
        return _webhook(row, 0)

    async def page(
        self,
        *,
        after: tuple[datetime, UUID] | None = None,
        limit: int = 100,
        within: Collection[Owner] | None = None,
    ) -> list[Webhook]:
        """Page through the webhooks, the oldest first."""
        waiting = select(func.count()).where(_EVENT.webhook_id == _WEBHOOK.id, _EVENT.state == "waiting")
        wanted = select(_WEBHOOK, waiting.scalar_subquery()).where(_of(within))
        if after is not None:
            wanted = wanted.where(tuple_(_WEBHOOK.created_at, _WEBHOOK.id) > after)
        ordered = wanted.order_by(_WEBHOOK.created_at, _WEBHOOK.id).limit(limit)
        async with self._database.transaction() as session:
            return [_webhook(row, count) for row, count in await session.execute(ordered)]

    async def remove(self, webhook: UUID, *, within: Collection[Owner] | None = None) -> bool:
        """Remove a webhook with its events; False where there is none."""
        gone = delete(_WEBHOOK).where(_WEBHOOK.id == webhook, _of(within)).returning(_WEBHOOK.id)
        async with self._database.transaction() as session:
            return await session.scalar(gone) is not None

    async def replay(self, webhook: UUID, since: datetime, *, within: Collection[Owner] | None = None) -> int | None:
        """Let it be told again, in the old order, of what happened since then; None where there is none.

        One that had ended is told again of what happens from now on, too.
        """
        revived = update(_WEBHOOK).where(_WEBHOOK.id == webhook, _of(within))
        changes = {"active": True, "ended": None, "failing_since": None, "failure": None}
        again = update(_EVENT).where(
            _EVENT.webhook_id == webhook, _EVENT.occurred_at >= since, _EVENT.state != "waiting"
        )
        async with self._database.transaction() as session:
            if await session.scalar(revived.values(changes).returning(_WEBHOOK.id)) is None:
                return None
            events = again.values(state="waiting", attempts=0, ended_at=None).returning(_EVENT.seq)
            return len(list(await session.scalars(events)))


def _of(within: Collection[Owner] | None) -> ColumnElement[bool]:
    if within is None:
        return true()
    return tuple_(_WEBHOOK.owner_type, _WEBHOOK.owner_id).in_([(owner.type, owner.id) for owner in within])


def _webhook(row: WebhookRow, waiting: int) -> Webhook:
    owner = None
    if row.owner_type and row.owner_id:
        owner = Owner(cast("OwnerType", row.owner_type), row.owner_id, row.owner_external_id)
    return Webhook(
        id=row.id,
        url=row.url,
        events=tuple(cast("Sequence[EventType]", row.events)),
        owner=owner,
        ended=row.ended,
        failing_since=row.failing_since,
        failure=row.failure,
        waiting=waiting,
        created_at=row.created_at,
    )
