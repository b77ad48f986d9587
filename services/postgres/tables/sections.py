from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, Computed, ForeignKey, Index, Sequence, UniqueConstraint, func
from sqlalchemy.dialects.postgresql import TSVECTOR
from sqlalchemy.orm import Mapped, mapped_column

from services.postgres.tables.base import Base
from services.postgres.vector_type import Vector

# Given out under the value's lock, so that a value's versions only grow, a deleted and new one's too.
VERSIONS = Sequence("section_versions", metadata=Base.metadata)


class SectionValueRow(Base):
    """A permanent value: JSON, compressed where it is large. `body` is what of a fact is searched."""

    __tablename__ = "section_values"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    owner_type: Mapped[str]
    owner_id: Mapped[UUID]
    section: Mapped[str]
    namespace: Mapped[str]
    key: Mapped[str]
    value: Mapped[bytes]
    is_compressed: Mapped[bool]
    raw_size: Mapped[int]
    version: Mapped[int] = mapped_column(server_default=VERSIONS.next_value())
    body: Mapped[str | None]
    language: Mapped[str] = mapped_column(server_default="simple")
    lexemes: Mapped[Any] = mapped_column(
        TSVECTOR, Computed("text_lexemes(language, coalesce(body, ''))", persisted=True), deferred=True
    )
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now())

    __table_args__ = (
        CheckConstraint("owner_type in ('user', 'company')", name="owner_type"),
        CheckConstraint("section in ('user_preferences', 'facts')", name="section"),
        UniqueConstraint("owner_type", "owner_id", "section", "namespace", "key", name="uq_section_values_name"),
        Index("ix_section_values_owner_type_owner_id_updated_at", "owner_type", "owner_id", "updated_at"),
    )


class SectionVectorRow(Base):
    """A fact's vector by one model. It counts for the version that it was made of, and for no other."""

    __tablename__ = "section_vectors"

    value_id: Mapped[UUID] = mapped_column(ForeignKey("section_values.id", ondelete="CASCADE"), primary_key=True)
    model: Mapped[str] = mapped_column(primary_key=True)
    version: Mapped[int]
    embedding: Mapped[Any] = mapped_column(Vector())


class SectionCommandRow(Base):
    """A command that was given; it stands in the history of its owner, and of its session where it has one."""

    __tablename__ = "section_commands"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    owner_type: Mapped[str]
    owner_id: Mapped[UUID]
    namespace: Mapped[str]
    session_id: Mapped[str | None]
    of_owner: Mapped[UUID]
    of_session: Mapped[UUID | None]
    seq: Mapped[int] = mapped_column(server_default=VERSIONS.next_value())
    value: Mapped[bytes]
    is_compressed: Mapped[bool]
    raw_size: Mapped[int]
    added_at: Mapped[datetime] = mapped_column(server_default=func.now())

    __table_args__ = (
        CheckConstraint("owner_type in ('user', 'company')", name="owner_type"),
        Index("ix_section_commands_owner_type_owner_id", "owner_type", "owner_id"),
        Index("ix_section_commands_of_owner_seq", "of_owner", "seq"),
        Index("ix_section_commands_of_session_seq", "of_session", "seq"),
    )


class SectionCacheRow(Base):
    """One part of the cache in Redis: what is cached under another epoch than this is read by nobody."""

    __tablename__ = "section_caches"

    bucket: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    epoch: Mapped[UUID]
    state: Mapped[str] = mapped_column(server_default="open")
    changed_at: Mapped[datetime] = mapped_column(server_default=func.now())

    __table_args__ = (CheckConstraint("state in ('open', 'closing', 'closed')", name="state"),)


class SectionCountRow(Base):
    """How often something happened on one day, such as `hits`, over all processes."""

    __tablename__ = "section_counts"

    day: Mapped[date] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True)
    count: Mapped[int]
