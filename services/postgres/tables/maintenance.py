from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, func
from sqlalchemy.orm import Mapped, mapped_column

from services.postgres.tables.base import Base


class RetentionRow(Base):
    """For how many days a tenant's rows of one table are kept; 0 keeps them for ever."""

    __tablename__ = "retention"

    owner_type: Mapped[str] = mapped_column(primary_key=True)
    owner_id: Mapped[UUID] = mapped_column(primary_key=True)
    table_name: Mapped[str] = mapped_column(primary_key=True)
    days: Mapped[int]
    set_at: Mapped[datetime] = mapped_column(server_default=func.now())

    __table_args__ = (
        CheckConstraint("owner_type in ('user', 'company')", name="owner_type"),
        CheckConstraint("days >= 0", name="days"),
    )


class MemoryMergeRow(Base):
    """A memory that says what another one of its owner says, and was ended for it.

    It is written before anything is ended, so that whoever comes after a killed worker finishes it: until `done_at` it
    is under way. `ends_at` is from when the ended one is no longer said. A version is merged once, and what was undone
    is never merged again by itself.
    """

    __tablename__ = "memory_merges"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    user_id: Mapped[UUID | None] = mapped_column(ForeignKey("profiles.id", ondelete="CASCADE"))
    company_id: Mapped[UUID | None] = mapped_column(ForeignKey("companies.id", ondelete="CASCADE"))
    kept_slug: Mapped[str] = mapped_column(String(255))
    ended_slug: Mapped[str] = mapped_column(String(255))
    kept_version: Mapped[UUID]
    ended_version: Mapped[UUID] = mapped_column(ForeignKey("memory_versions.id", ondelete="CASCADE"), unique=True)
    ends_at: Mapped[datetime]
    reason: Mapped[str]
    similarity: Mapped[float | None]
    run_id: Mapped[str]
    planned_at: Mapped[datetime] = mapped_column(server_default=func.now())
    done_at: Mapped[datetime | None]
    undone_at: Mapped[datetime | None]

    __table_args__ = (
        CheckConstraint("num_nonnulls(user_id, company_id) = 1", name="owner"),
        CheckConstraint("reason in ('same_words', 'same_meaning')", name="reason"),
        CheckConstraint("kept_slug <> ended_slug", name="two"),
        Index("ix_memory_merges_user_id", "user_id", postgresql_where="user_id is not null"),
        Index("ix_memory_merges_company_id", "company_id", postgresql_where="company_id is not null"),
        Index("ix_memory_merges_planned_at", "planned_at", "id"),
    )


class AnalysisRow(Base):
    """What was counted on a day, in UTC: numbers and ids, no content. A later analysis of the day replaces it."""

    __tablename__ = "analyses"

    day: Mapped[date] = mapped_column(primary_key=True)
    figures: Mapped[dict[str, Any]]
    run_id: Mapped[str]
    taken_at: Mapped[datetime] = mapped_column(server_default=func.now())
