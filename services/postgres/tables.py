"""The tables, as section "Data" of docs/architecture.md describes them."""

from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Computed,
    DateTime,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    MetaData,
    String,
    Text,
    UniqueConstraint,
    func,
)
from sqlalchemy.dialects.postgresql import JSONB, TSVECTOR
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from services.domain.memories import Kind, MadeBy

# A function of the first migration: stems by language, and leaves out what would not fit into a tsvector.
_LEXEMES = "text_lexemes(language, {column})"


class Base(DeclarativeBase):
    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {  # noqa: RUF012  SQLAlchemy reads it as a class attribute
        datetime: DateTime(timezone=True),
        str: Text(),
        int: BigInteger(),
        dict[str, Any]: JSONB(),
        list[dict[str, Any]]: JSONB(),
    }


class Room(Base):
    """`last_seq` is the last sequence number given out, `chunked_seq` the last one that a chunk covers.

    The owner sees the room: a person's own room is that person's, another one its company's, else whoever spoke first.
    """

    __tablename__ = "rooms"

    id: Mapped[str] = mapped_column(primary_key=True)
    user_id: Mapped[str | None]
    company_id: Mapped[str | None]
    owner_type: Mapped[str | None]
    owner_id: Mapped[UUID | None]
    last_seq: Mapped[int] = mapped_column(server_default="0")
    chunked_seq: Mapped[int] = mapped_column(server_default="0")
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    last_archived_at: Mapped[datetime] = mapped_column(server_default=func.now())

    __table_args__ = (
        CheckConstraint("chunked_seq <= last_seq", name="chunked_is_archived"),
        CheckConstraint("owner_type in ('user', 'company')", name="owner_type"),
        CheckConstraint("(owner_type is null) = (owner_id is null)", name="owner"),
        Index("ix_rooms_owner_type_owner_id", "owner_type", "owner_id"),
        Index("ix_rooms_undigested", "id", postgresql_where="chunked_seq < last_seq"),
    )


class ArchivedRow(Base):
    """A row of the archive. `fingerprint` tells a repeated message from another one under the same id."""

    __tablename__ = "messages"

    room_id: Mapped[str] = mapped_column(ForeignKey("rooms.id", ondelete="CASCADE"), primary_key=True)
    seq: Mapped[int] = mapped_column(primary_key=True)
    id: Mapped[str]
    uid: Mapped[UUID] = mapped_column(unique=True)
    role: Mapped[str]
    content: Mapped[str]
    user_id: Mapped[str | None]
    company_id: Mapped[str | None]
    sent_at: Mapped[datetime]
    tool_calls: Mapped[list[dict[str, Any]]]
    extra_metadata: Mapped[dict[str, Any]]
    remember: Mapped[bool]
    language: Mapped[str]
    lexemes: Mapped[Any] = mapped_column(TSVECTOR, Computed(_LEXEMES.format(column="content"), persisted=True))
    fingerprint: Mapped[bytes]
    claim: Mapped[str]
    run_id: Mapped[str]
    archived_at: Mapped[datetime] = mapped_column(server_default=func.now())

    __table_args__ = (
        UniqueConstraint("room_id", "id"),
        Index("ix_messages_room_id_user_id", "room_id", "user_id"),
        CheckConstraint("role in ('user', 'assistant', 'tool', 'system')", name="role"),
    )


class ChunkRow(Base):
    """Consecutive messages that are digested together.

    `attempts` counts the failures in a row; a chunk that was split stays, as `split`. One that is `extracted` has all
    but its memories saved.
    """

    __tablename__ = "chunks"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    room_id: Mapped[str] = mapped_column(ForeignKey("rooms.id", ondelete="CASCADE"))
    first_seq: Mapped[int]
    last_seq: Mapped[int]
    tokens: Mapped[int]
    state: Mapped[str] = mapped_column(server_default="waiting")
    attempts: Mapped[int] = mapped_column(server_default="0")
    run_id: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    digested_at: Mapped[datetime | None]

    __table_args__ = (
        UniqueConstraint("room_id", "first_seq", "last_seq"),
        CheckConstraint("state in ('waiting', 'extracted', 'digested', 'quarantined', 'split')", name="state"),
        CheckConstraint("first_seq <= last_seq", name="order"),
        Index("ix_chunks_waiting", "room_id", "first_seq", postgresql_where="state in ('waiting', 'extracted')"),
    )


class SummaryRow(Base):
    """A chunk's summary, or the room's rolling summary as it stood after that chunk.

    `made_by` is `model` or `extractive`; `covers_from` is the first message that the text speaks of.
    """

    __tablename__ = "summaries"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    room_id: Mapped[str]
    chunk_id: Mapped[UUID] = mapped_column(ForeignKey("chunks.id", ondelete="CASCADE"))
    kind: Mapped[str]
    covers_from: Mapped[int]
    covers_to: Mapped[int]
    text: Mapped[str]
    made_by: Mapped[str]
    prompt_version: Mapped[str]
    model: Mapped[str]
    language: Mapped[str]
    lexemes: Mapped[Any] = mapped_column(TSVECTOR, Computed(_LEXEMES.format(column="text"), persisted=True))
    run_id: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now())

    __table_args__ = (
        UniqueConstraint("chunk_id", "kind", "prompt_version", "model"),
        ForeignKeyConstraint(["room_id"], ["rooms.id"], ondelete="CASCADE"),
        CheckConstraint("kind in ('chunk', 'rolling')", name="kind"),
        CheckConstraint("made_by in ('model', 'extractive')", name="made_by"),
        Index("ix_summaries_room_id_kind_covers_to", "room_id", "kind", "covers_to"),
    )


class ModelAnswerRow(Base):
    """A model's answer, written down before it is used; `shown` is what it was shown besides the chunk."""

    __tablename__ = "model_answers"

    chunk_id: Mapped[UUID] = mapped_column(ForeignKey("chunks.id", ondelete="CASCADE"), primary_key=True)
    step: Mapped[str] = mapped_column(primary_key=True)
    prompt_version: Mapped[str] = mapped_column(primary_key=True)
    model: Mapped[str] = mapped_column(primary_key=True)
    answer: Mapped[str]
    shown: Mapped[dict[str, Any]]
    prompt_tokens: Mapped[int]
    completion_tokens: Mapped[int]
    run_id: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class QuarantineRow(Base):
    """What could not be processed, whole, with its reason.

    `kind` is `entry` (of a claim), `buffer` (an entry of a buffer whose key names no room) or `chunk`; `source` is
    the claim, the key or the chunk's id. `raw` holds an entry's bytes as they came.
    """

    __tablename__ = "quarantine"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    kind: Mapped[str]
    room_id: Mapped[str | None]
    source: Mapped[str]
    position: Mapped[int]
    reason: Mapped[str]
    detail: Mapped[str]
    raw: Mapped[bytes | None]
    state: Mapped[str] = mapped_column(server_default="open")
    tries: Mapped[int] = mapped_column(server_default="1")
    run_id: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    redriven_at: Mapped[datetime | None]

    __table_args__ = (
        CheckConstraint("kind in ('entry', 'buffer', 'chunk')", name="kind"),
        CheckConstraint("state in ('open', 'redriven')", name="state"),
        Index("ix_quarantine_open", "created_at", "id", postgresql_where="state = 'open'"),
    )


class EmbeddingModelRow(Base):
    """A model's vectors live in tables of their own, so that dimensions never collide.

    `memory_table` is the one that the open-source Mem0 keeps its memories in, where it is used.
    """

    __tablename__ = "embedding_models"

    model: Mapped[str] = mapped_column(primary_key=True)
    dimensions: Mapped[int]
    table_name: Mapped[str] = mapped_column(unique=True)
    memory_table: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


# Tables that carry it were made by us; the host's own do not, and are never dropped.
MADE_HERE = "Made by Afterturn."


class Profile(Base):
    """A person. In production this is the host's own table, of which `id`, `external_id` and `rut` are needed."""

    __tablename__ = "profiles"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    external_id: Mapped[str | None] = mapped_column(unique=True)
    rut: Mapped[str | None]
    full_name: Mapped[str | None]
    email: Mapped[str | None]
    phone: Mapped[str | None]
    role: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now())

    __table_args__ = ({"comment": MADE_HERE},)


class Company(Base):
    """A company. In production this is the host's own table, of which `id`, `external_id` and `rut` are needed."""

    __tablename__ = "companies"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    external_id: Mapped[str | None] = mapped_column(unique=True)
    rut: Mapped[str | None]
    name: Mapped[str | None]
    tax_regime: Mapped[str | None]
    activity: Mapped[str | None]
    legal_representative: Mapped[str | None]
    start_date: Mapped[date | None]
    accounting_start: Mapped[date | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now())

    __table_args__ = ({"comment": MADE_HERE},)


class CompanyMember(Base):
    """Who sees a company's memories; an `owner` or `admin` of it may also speak for it."""

    __tablename__ = "company_members"

    company_id: Mapped[UUID] = mapped_column(ForeignKey("companies.id", ondelete="CASCADE"), primary_key=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("profiles.id", ondelete="CASCADE"), primary_key=True)
    role: Mapped[str] = mapped_column(server_default="member")

    __table_args__ = (Index("ix_company_members_user_id", "user_id"), {"comment": MADE_HERE})


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
        TSVECTOR, Computed(_LEXEMES.format(column="coalesce(content, '')"), persisted=True), deferred=True
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
