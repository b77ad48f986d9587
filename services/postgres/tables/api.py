from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, Index, Text, func
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from services.postgres.tables.base import Base


class ApiKeyRow(Base):
    """An API key; only its hash is kept, and its prefix, by which it is found and shown.

    `last_used_at` is coarse: it is written once an hour at most.
    """

    __tablename__ = "api_keys"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    name: Mapped[str]
    prefix: Mapped[str] = mapped_column(unique=True)
    hash: Mapped[bytes]
    scopes: Mapped[list[str]] = mapped_column(ARRAY(Text()))
    user_id: Mapped[str | None]
    company_id: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    expires_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
    last_used_at: Mapped[datetime | None]

    __table_args__ = (
        CheckConstraint("scopes <@ array['ingest', 'read', 'write', 'admin'] and scopes <> '{}'", name="scopes"),
        Index("ix_api_keys_created_at_id", "created_at", "id"),
    )


class IdempotencyKeyRow(Base):
    """What a POST with an `Idempotency-Key` was answered; `status` is null while it is being answered.

    `key` is a hash of the key with its credential; `fingerprint` tells a repeated request from another one under the
    same key; `token` names who answers it. `body` is sealed: only who repeats the request can read it.
    """

    __tablename__ = "idempotency_keys"

    credential: Mapped[str] = mapped_column(primary_key=True)
    route: Mapped[str] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    fingerprint: Mapped[bytes]
    token: Mapped[UUID]
    status: Mapped[int | None]
    location: Mapped[str | None]
    body: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())

    __table_args__ = (Index("ix_idempotency_keys_created_at", "created_at"),)
