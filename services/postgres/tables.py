"""The tables, as section "Data" of docs/architecture.md describes them."""

from datetime import datetime
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
    Text,
    UniqueConstraint,
    func,
)
from sqlalchemy.dialects.postgresql import JSONB, TSVECTOR
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

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
    """`last_seq` is the last sequence number given out, `chunked_seq` the last one that a chunk covers."""

    __tablename__ = "rooms"

    id: Mapped[str] = mapped_column(primary_key=True)
    user_id: Mapped[str | None]
    company_id: Mapped[str | None]
    last_seq: Mapped[int] = mapped_column(server_default="0")
    chunked_seq: Mapped[int] = mapped_column(server_default="0")
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    last_archived_at: Mapped[datetime] = mapped_column(server_default=func.now())

    __table_args__ = (
        CheckConstraint("chunked_seq <= last_seq", name="chunked_is_archived"),
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
        Index("ix_messages_lexemes", "lexemes", postgresql_using="gin"),
        CheckConstraint("role in ('user', 'assistant', 'tool', 'system')", name="role"),
    )


class ChunkRow(Base):
    """Consecutive messages that are digested together.

    `attempts` counts the failures in a row; a chunk that was split stays, as `split`.
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
        CheckConstraint("state in ('waiting', 'digested', 'quarantined', 'split')", name="state"),
        CheckConstraint("first_seq <= last_seq", name="order"),
        Index("ix_chunks_waiting", "room_id", "first_seq", postgresql_where="state = 'waiting'"),
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
        Index("ix_summaries_lexemes", "lexemes", postgresql_using="gin"),
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
    """A model's vectors live in a table of their own, so that dimensions never collide."""

    __tablename__ = "embedding_models"

    model: Mapped[str] = mapped_column(primary_key=True)
    dimensions: Mapped[int]
    table_name: Mapped[str] = mapped_column(unique=True)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
