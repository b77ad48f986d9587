"""Rooms, what was said in them, and what was made of it."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    CheckConstraint,
    Computed,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import TSVECTOR
from sqlalchemy.orm import Mapped, mapped_column

from services.postgres.tables.base import LEXEMES, Base


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
    lexemes: Mapped[Any] = mapped_column(TSVECTOR, Computed(LEXEMES.format(column="content"), persisted=True))
    fingerprint: Mapped[bytes]
    claim: Mapped[str]
    run_id: Mapped[str]
    archived_at: Mapped[datetime] = mapped_column(server_default=func.now())

    __table_args__ = (
        UniqueConstraint("room_id", "id"),
        Index("ix_messages_room_id_user_id", "room_id", "user_id"),
        Index("ix_messages_user_id", "user_id", postgresql_where="user_id is not null"),
        Index("ix_messages_company_id", "company_id", postgresql_where="company_id is not null"),
        Index("ix_messages_claim_of_buffer", "claim", postgresql_where="claim like 'user:%' or claim like 'room:%'"),
        CheckConstraint("role in ('user', 'assistant', 'tool', 'system')", name="role"),
    )


class ChunkRow(Base):
    """Consecutive messages that are digested together.

    `attempts` counts the failures in a row that were its own; `failed_at` is when one of ours counted last. A chunk
    that was split stays, as `split`. One that is `extracted` has all but its memories saved.
    """

    __tablename__ = "chunks"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    room_id: Mapped[str] = mapped_column(ForeignKey("rooms.id", ondelete="CASCADE"))
    first_seq: Mapped[int]
    last_seq: Mapped[int]
    tokens: Mapped[int]
    state: Mapped[str] = mapped_column(server_default="waiting")
    attempts: Mapped[int] = mapped_column(server_default="0")
    failed_at: Mapped[datetime | None]
    run_id: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    digested_at: Mapped[datetime | None]

    __table_args__ = (
        UniqueConstraint("room_id", "first_seq", "last_seq"),
        CheckConstraint("state in ('waiting', 'extracted', 'digested', 'quarantined', 'split')", name="state"),
        CheckConstraint("first_seq <= last_seq", name="order"),
        Index("ix_chunks_waiting", "room_id", "first_seq", postgresql_where="state in ('waiting', 'extracted')"),
    )


# A chunk that is to be digested yet, or whose memories are to be saved.
IS_LEFT = ChunkRow.state.in_(("waiting", "extracted"))


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
    lexemes: Mapped[Any] = mapped_column(TSVECTOR, Computed(LEXEMES.format(column="text"), persisted=True))
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
    created_at: Mapped[datetime] = mapped_column(server_default=func.now(), index=True)

    __table_args__ = (
        # Finds where somebody's memories were shown, who may be forgotten.
        Index(
            "ix_model_answers_shown_owners",
            text("jsonb_path_query_array(shown, '$.known[*].owner.id')"),
            postgresql_using="gin",
            postgresql_where="step = 'extract'",
        ),
    )


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
