"""Memories, their versions and sources, and what is under way in Mem0."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    CheckConstraint,
    Computed,
    ForeignKey,
    Index,
    String,
    Text,
    UniqueConstraint,
    func,
)
from sqlalchemy.dialects.postgresql import TSVECTOR
from sqlalchemy.orm import Mapped, mapped_column

from services.domain.memories import Kind, MadeBy
from services.postgres.tables.base import LEXEMES, Base


class UserBrainRow(Base):
    """The record of one memory in Mem0 about a person."""

    __tablename__ = "user_brain"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("profiles.id", ondelete="CASCADE"))
    memory_id: Mapped[str] = mapped_column(String(255), unique=True)
    slug: Mapped[str] = mapped_column(String(255))
    content: Mapped[str]
    extra_metadata: Mapped[dict[str, Any]] = mapped_column(server_default="{}")
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now())

    __table_args__ = (UniqueConstraint("user_id", "slug"),)


class CompanyBrainRow(Base):
    """The record of one memory in Mem0 about a company."""

    __tablename__ = "company_brain"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    company_id: Mapped[UUID] = mapped_column(ForeignKey("companies.id", ondelete="CASCADE"))
    memory_id: Mapped[str] = mapped_column(String(255), unique=True)
    slug: Mapped[str] = mapped_column(String(255))
    content: Mapped[str]
    extra_metadata: Mapped[dict[str, Any]] = mapped_column(server_default="{}")
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now())

    __table_args__ = (UniqueConstraint("company_id", "slug"),)


class MemoryVersionRow(Base):
    """What a memory said from `asserted_at` until its next version; without content it was no longer true.

    A row is an assertion. One that only says again what the version before it said `repeats` it and is no version: it
    is kept because a late import may come between the two. Versions outlive their brain record, not their owner. One
    of them is current.
    """

    __tablename__ = "memory_versions"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    brain_id: Mapped[UUID]
    user_id: Mapped[UUID | None] = mapped_column(ForeignKey("profiles.id", ondelete="CASCADE"))
    company_id: Mapped[UUID | None] = mapped_column(ForeignKey("companies.id", ondelete="CASCADE"))
    slug: Mapped[str] = mapped_column(String(255))
    kind: Mapped[Kind] = mapped_column(Text())
    content: Mapped[str | None]
    extra_metadata: Mapped[dict[str, Any]] = mapped_column(server_default="{}")
    language: Mapped[str]
    lexemes: Mapped[Any] = mapped_column(
        TSVECTOR, Computed(LEXEMES.format(column="coalesce(content, '')"), persisted=True), deferred=True
    )
    asserted_at: Mapped[datetime]
    repeats: Mapped[bool]
    is_current: Mapped[bool]
    made_by: Mapped[MadeBy] = mapped_column(Text())
    prompt_version: Mapped[str | None]
    model: Mapped[str | None]
    run_id: Mapped[str | None]
    recorded_at: Mapped[datetime] = mapped_column(server_default=func.now())

    __table_args__ = (
        CheckConstraint("num_nonnulls(user_id, company_id) = 1", name="owner"),
        CheckConstraint("kind in ('episodic', 'semantic', 'procedural')", name="kind"),
        CheckConstraint("made_by in ('model', 'verbatim', 'caller', 'row')", name="made_by"),
        CheckConstraint("not (repeats and is_current)", name="repeats"),
        Index("ix_memory_versions_brain_id_asserted_at", "brain_id", "asserted_at"),
        Index("uq_memory_versions_current", "brain_id", unique=True, postgresql_where="is_current"),
        Index("ix_memory_versions_user_id", "user_id", postgresql_where="user_id is not null"),
        Index("ix_memory_versions_company_id", "company_id", postgresql_where="company_id is not null"),
    )


class MemorySourceRow(Base):
    """A message that bears out a version of a memory."""

    __tablename__ = "memory_sources"

    version_id: Mapped[UUID] = mapped_column(ForeignKey("memory_versions.id", ondelete="CASCADE"), primary_key=True)
    message_uid: Mapped[UUID] = mapped_column(ForeignKey("messages.uid", ondelete="CASCADE"), primary_key=True)

    __table_args__ = (Index("ix_memory_sources_message_uid", "message_uid"),)


class Mem0IntentRow(Base):
    """What is under way in Mem0 for one brain record, or left to do; it outlives its owner.

    A deleted brain record leaves a `delete` behind by a trigger, so that Mem0 follows a cascade. `lease_token` names
    the writer at work until `lease_until`.
    """

    __tablename__ = "mem0_intents"

    brain_id: Mapped[UUID] = mapped_column(primary_key=True)
    action: Mapped[str]
    owner_type: Mapped[str]
    owner_id: Mapped[UUID]
    slug: Mapped[str] = mapped_column(String(255))
    entity_id: Mapped[str | None]
    memory_id: Mapped[str | None] = mapped_column(String(255))
    payload: Mapped[dict[str, Any]] = mapped_column(server_default="{}")
    attempts: Mapped[int] = mapped_column(server_default="0")
    lease_token: Mapped[UUID | None]
    lease_until: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now())

    __table_args__ = (
        CheckConstraint("action in ('save', 'delete')", name="action"),
        CheckConstraint("owner_type in ('user', 'company')", name="owner_type"),
        Index("ix_mem0_intents_updated_at", "updated_at"),
    )
