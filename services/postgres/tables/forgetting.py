from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, func
from sqlalchemy.orm import Mapped, mapped_column

from services.postgres.tables.base import Base


class OwnerEpochRow(Base):
    """When an owner was last forgotten. Epochs are numbered through, in the order in which they were committed.

    `claimed_before` is Redis' time: what a claim before it holds was said before it.
    """

    __tablename__ = "owner_epochs"

    owner_type: Mapped[str] = mapped_column(primary_key=True)
    owner_id: Mapped[UUID] = mapped_column(primary_key=True)
    epoch: Mapped[int] = mapped_column(unique=True)
    claimed_before: Mapped[datetime]
    forgotten_at: Mapped[datetime] = mapped_column(server_default=func.now())

    __table_args__ = (CheckConstraint("owner_type in ('user', 'company')", name="owner_type"),)


class ForgottenMessageRow(Base):
    """A message that stays out for good, by the hash of its room and id."""

    __tablename__ = "forgotten_messages"

    uid: Mapped[UUID] = mapped_column(primary_key=True)


class ForgettingRow(Base):
    """A run that forgets an owner; `erased` counts what it erased where, in the transactions that erased it.

    `names` is how the owner is found, for as long as the run needs it.
    """

    __tablename__ = "forgettings"

    run_id: Mapped[str] = mapped_column(primary_key=True)
    owner_type: Mapped[str]
    owner_id: Mapped[UUID]
    epoch: Mapped[int | None]
    names: Mapped[dict[str, Any]] = mapped_column(server_default="{}")
    erased: Mapped[dict[str, Any]] = mapped_column(server_default="{}")
    own_row: Mapped[str | None]
    started_at: Mapped[datetime] = mapped_column(server_default=func.now())
    forgotten_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]

    __table_args__ = (
        CheckConstraint("owner_type in ('user', 'company')", name="owner_type"),
        Index("ix_forgettings_owner_type_owner_id", "owner_type", "owner_id"),
    )


class MemoryToSettleRow(Base):
    """A memory of somebody else that lost a source: Mem0 is still to follow its brain."""

    __tablename__ = "memories_to_settle"

    run_id: Mapped[str] = mapped_column(ForeignKey("forgettings.run_id", ondelete="CASCADE"), primary_key=True)
    owner_type: Mapped[str] = mapped_column(primary_key=True)
    owner_id: Mapped[UUID] = mapped_column(primary_key=True)
    slug: Mapped[str] = mapped_column(primary_key=True)
