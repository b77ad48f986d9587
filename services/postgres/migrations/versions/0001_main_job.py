"""Rooms, the archive, chunks, summaries, recorded model answers and the quarantine."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

# Declared immutable so that a stored column may use it: the configurations that Postgres ships do not change.
# A tsvector holds 1 MiB at most; 100,000 characters cannot reach that.
TEXT_LEXEMES = """
create function text_lexemes(language text, body text) returns tsvector
language sql immutable parallel safe
return to_tsvector(language::regconfig, left(body, 100000))
"""


def upgrade() -> None:
    op.execute("create extension if not exists vector")
    op.execute(TEXT_LEXEMES)
    op.create_table(
        "embedding_models",
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("dimensions", sa.BigInteger(), nullable=False),
        sa.Column("table_name", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("model", name="pk_embedding_models"),
        sa.UniqueConstraint("table_name", name="uq_embedding_models_table_name"),
    )
    op.create_table(
        "quarantine",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("room_id", sa.Text(), nullable=True),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("raw", sa.LargeBinary(), nullable=True),
        sa.Column("state", sa.Text(), server_default="open", nullable=False),
        sa.Column("tries", sa.BigInteger(), server_default="1", nullable=False),
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("redriven_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("kind in ('entry', 'buffer', 'chunk')", name="ck_quarantine_kind"),
        sa.CheckConstraint("state in ('open', 'redriven')", name="ck_quarantine_state"),
        sa.PrimaryKeyConstraint("id", name="pk_quarantine"),
    )
    op.create_index("ix_quarantine_open", "quarantine", ["created_at", "id"], postgresql_where="state = 'open'")
    op.create_table(
        "rooms",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("user_id", sa.Text(), nullable=True),
        sa.Column("company_id", sa.Text(), nullable=True),
        sa.Column("last_seq", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("chunked_seq", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("last_archived_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("chunked_seq <= last_seq", name="ck_rooms_chunked_is_archived"),
        sa.PrimaryKeyConstraint("id", name="pk_rooms"),
    )
    op.create_index("ix_rooms_undigested", "rooms", ["id"], postgresql_where="chunked_seq < last_seq")
    op.create_table(
        "chunks",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("room_id", sa.Text(), nullable=False),
        sa.Column("first_seq", sa.BigInteger(), nullable=False),
        sa.Column("last_seq", sa.BigInteger(), nullable=False),
        sa.Column("tokens", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.Text(), server_default="waiting", nullable=False),
        sa.Column("attempts", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("run_id", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("digested_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("state in ('waiting', 'digested', 'quarantined', 'split')", name="ck_chunks_state"),
        sa.CheckConstraint("first_seq <= last_seq", name="ck_chunks_order"),
        sa.ForeignKeyConstraint(["room_id"], ["rooms.id"], name="fk_chunks_room_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name="pk_chunks"),
        sa.UniqueConstraint("room_id", "first_seq", "last_seq", name="uq_chunks_room_id_first_seq_last_seq"),
    )
    op.create_index("ix_chunks_waiting", "chunks", ["room_id", "first_seq"], postgresql_where="state = 'waiting'")
    op.create_table(
        "messages",
        sa.Column("room_id", sa.Text(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("uid", sa.Uuid(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.Column("user_id", sa.Text(), nullable=True),
        sa.Column("company_id", sa.Text(), nullable=True),
        sa.Column("sent_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("tool_calls", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("extra_metadata", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("remember", sa.Boolean(), nullable=False),
        sa.Column("language", sa.Text(), nullable=False),
        sa.Column(
            "lexemes",
            postgresql.TSVECTOR(),
            sa.Computed("text_lexemes(language, content)", persisted=True),
            nullable=False,
        ),
        sa.Column("fingerprint", sa.LargeBinary(), nullable=False),
        sa.Column("claim", sa.Text(), nullable=False),
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("archived_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("role in ('user', 'assistant', 'tool', 'system')", name="ck_messages_role"),
        sa.ForeignKeyConstraint(["room_id"], ["rooms.id"], name="fk_messages_room_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("room_id", "seq", name="pk_messages"),
        sa.UniqueConstraint("room_id", "id", name="uq_messages_room_id_id"),
        sa.UniqueConstraint("uid", name="uq_messages_uid"),
    )
    op.create_index("ix_messages_lexemes", "messages", ["lexemes"], postgresql_using="gin")
    op.create_table(
        "model_answers",
        sa.Column("chunk_id", sa.Uuid(), nullable=False),
        sa.Column("step", sa.Text(), nullable=False),
        sa.Column("prompt_version", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("answer", sa.Text(), nullable=False),
        sa.Column("shown", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("prompt_tokens", sa.BigInteger(), nullable=False),
        sa.Column("completion_tokens", sa.BigInteger(), nullable=False),
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["chunk_id"], ["chunks.id"], name="fk_model_answers_chunk_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("chunk_id", "step", "prompt_version", "model", name="pk_model_answers"),
    )
    op.create_table(
        "summaries",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("room_id", sa.Text(), nullable=False),
        sa.Column("chunk_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("covers_from", sa.BigInteger(), nullable=False),
        sa.Column("covers_to", sa.BigInteger(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("made_by", sa.Text(), nullable=False),
        sa.Column("prompt_version", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("language", sa.Text(), nullable=False),
        sa.Column(
            "lexemes",
            postgresql.TSVECTOR(),
            sa.Computed("text_lexemes(language, text)", persisted=True),
            nullable=False,
        ),
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("kind in ('chunk', 'rolling')", name="ck_summaries_kind"),
        sa.CheckConstraint("made_by in ('model', 'extractive')", name="ck_summaries_made_by"),
        sa.ForeignKeyConstraint(["chunk_id"], ["chunks.id"], name="fk_summaries_chunk_id", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["room_id"], ["rooms.id"], name="fk_summaries_room_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name="pk_summaries"),
        sa.UniqueConstraint(
            "chunk_id", "kind", "prompt_version", "model", name="uq_summaries_chunk_id_kind_prompt_version_model"
        ),
    )
    op.create_index("ix_summaries_lexemes", "summaries", ["lexemes"], postgresql_using="gin")
    op.create_index("ix_summaries_room_id_kind_covers_to", "summaries", ["room_id", "kind", "covers_to"])


def downgrade() -> None:
    for table in ("summaries", "model_answers", "messages", "chunks", "rooms", "quarantine", "embedding_models"):
        op.drop_table(table)
    op.execute("drop function text_lexemes")
