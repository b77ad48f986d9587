from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Identity, Index, Text, UniqueConstraint, func
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from services.postgres.tables.base import Base


class WebhookRow(Base):
    """An endpoint that is told of events: of all, or of one person's or one company's.

    `secret` stands as it is, for each request is signed with it. `failing_since` is when it last stopped to answer, and
    `failure` how, without its words; `ended` is why it is not `active`.
    """

    __tablename__ = "webhooks"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    url: Mapped[str]
    events: Mapped[list[str]] = mapped_column(ARRAY(Text()))
    secret: Mapped[str]
    owner_type: Mapped[str | None]
    owner_id: Mapped[UUID | None]
    owner_external_id: Mapped[str | None]
    active: Mapped[bool] = mapped_column(server_default="true")
    ended: Mapped[str | None]
    failing_since: Mapped[datetime | None]
    failure: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())

    __table_args__ = (
        CheckConstraint("events <@ array['message.digested', 'memory.changed'] and events <> '{}'", name="events"),
        CheckConstraint("owner_type in ('user', 'company')", name="owner_type"),
        CheckConstraint("(owner_type is null) = (owner_id is null)", name="owner"),
        CheckConstraint("active = (ended is null)", name="ended"),
        Index("ix_webhooks_created_at_id", "created_at", "id"),
    )


class OutboxRow(Base):
    """An event for one webhook, queued by triggers in the transaction that it tells of; `data` holds ids only.

    `subject_id` is the message's uid, or the brain record's id; the owner is whose the room or the memory is.
    """

    __tablename__ = "outbox"

    seq: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    webhook_id: Mapped[UUID] = mapped_column(ForeignKey("webhooks.id", ondelete="CASCADE"))
    event_id: Mapped[UUID]
    type: Mapped[str]
    subject_id: Mapped[UUID]
    owner_type: Mapped[str | None]
    owner_id: Mapped[UUID | None]
    data: Mapped[dict[str, Any]]
    state: Mapped[str] = mapped_column(server_default="waiting")
    attempts: Mapped[int] = mapped_column(server_default="0")
    occurred_at: Mapped[datetime] = mapped_column(server_default=func.now())
    ended_at: Mapped[datetime | None]

    __table_args__ = (
        UniqueConstraint("webhook_id", "event_id"),
        CheckConstraint("state in ('waiting', 'delivered', 'refused')", name="state"),
        Index("ix_outbox_waiting", "webhook_id", "seq", postgresql_where="state = 'waiting'"),
        Index("ix_outbox_subject_id", "subject_id"),
        Index("ix_outbox_owner_id", "owner_id"),
        Index("ix_outbox_ended_at", "ended_at", postgresql_where="state <> 'waiting'"),
    )
