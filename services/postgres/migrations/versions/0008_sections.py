"""The section store."""

from pathlib import Path

import sqlalchemy as sa
from alembic import op
from pgvector.sqlalchemy import Vector
from sqlalchemy.dialects import postgresql

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_PROTECTION = Path(__file__).parent.parent / "sql" / "0008_protection.sql"
_VERSION = sa.text("nextval('section_versions'::regclass)")
_OWNER_TYPES = "owner_type in ('user', 'company')"


def upgrade() -> None:
    op.execute("create sequence section_versions")
    _create_values()
    _create_commands()
    op.create_table(
        "section_caches",
        sa.Column("bucket", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("epoch", sa.Uuid(), nullable=False),
        sa.Column("state", sa.Text(), server_default="open", nullable=False),
        _time("changed_at"),
        sa.CheckConstraint("state in ('open', 'closing', 'closed')", name=op.f("ck_section_caches_state")),
        sa.PrimaryKeyConstraint("bucket", name="pk_section_caches"),
    )
    op.execute(
        "insert into section_caches (bucket, epoch) select n, gen_random_uuid() from generate_series(0, 63) as n"
    )
    op.create_table(
        "section_counts",
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("day", "name", name="pk_section_counts"),
    )
    _protect()


def downgrade() -> None:
    for owners in ("profiles", "companies"):
        op.execute(f'drop trigger "AFTERTURN_drop_sections" on {owners}')
    op.execute("drop function afterturn_drop_sections")
    for table in ("section_counts", "section_caches", "section_commands", "section_vectors", "section_values"):
        op.drop_table(table)
    op.execute("drop sequence section_versions")


def _create_values() -> None:
    op.create_table(
        "section_values",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("owner_type", sa.Text(), nullable=False),
        sa.Column("owner_id", sa.Uuid(), nullable=False),
        sa.Column("section", sa.Text(), nullable=False),
        sa.Column("namespace", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        *_value(),
        sa.Column("version", sa.BigInteger(), server_default=_VERSION, nullable=False),
        sa.Column("body", sa.Text(), nullable=True),
        sa.Column("language", sa.Text(), server_default="simple", nullable=False),
        sa.Column(
            "lexemes",
            postgresql.TSVECTOR(),
            sa.Computed("text_lexemes(language, coalesce(body, ''))", persisted=True),
            nullable=False,
        ),
        _time("created_at"),
        _time("updated_at"),
        sa.CheckConstraint(_OWNER_TYPES, name=op.f("ck_section_values_owner_type")),
        sa.CheckConstraint("section in ('user_preferences', 'facts')", name=op.f("ck_section_values_section")),
        sa.PrimaryKeyConstraint("id", name="pk_section_values"),
        sa.UniqueConstraint("owner_type", "owner_id", "section", "namespace", "key", name="uq_section_values_name"),
    )
    op.create_index(
        "ix_section_values_owner_type_owner_id_updated_at", "section_values", ["owner_type", "owner_id", "updated_at"]
    )
    op.create_table(
        "section_vectors",
        sa.Column("value_id", sa.Uuid(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("embedding", Vector(), nullable=False),
        sa.ForeignKeyConstraint(
            ["value_id"], ["section_values.id"], name="fk_section_vectors_value_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("value_id", "model", name="pk_section_vectors"),
    )


def _create_commands() -> None:
    op.create_table(
        "section_commands",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("owner_type", sa.Text(), nullable=False),
        sa.Column("owner_id", sa.Uuid(), nullable=False),
        sa.Column("namespace", sa.Text(), nullable=False),
        sa.Column("session_id", sa.Text(), nullable=True),
        sa.Column("of_owner", sa.Uuid(), nullable=False),
        sa.Column("of_session", sa.Uuid(), nullable=True),
        sa.Column("seq", sa.BigInteger(), server_default=_VERSION, nullable=False),
        *_value(),
        _time("added_at"),
        sa.CheckConstraint(_OWNER_TYPES, name=op.f("ck_section_commands_owner_type")),
        sa.PrimaryKeyConstraint("id", name="pk_section_commands"),
    )
    for columns in (["owner_type", "owner_id"], ["of_owner", "seq"], ["of_session", "seq"]):
        op.create_index(f"ix_section_commands_{'_'.join(columns)}", "section_commands", columns)


def _value() -> list[sa.Column[object]]:
    return [
        sa.Column("value", sa.LargeBinary(), nullable=False),
        sa.Column("is_compressed", sa.Boolean(), nullable=False),
        sa.Column("raw_size", sa.BigInteger(), nullable=False),
    ]


def _time(name: str) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False)


def _protect() -> None:
    """Run a file's statements, which stand apart by an empty line."""
    bind = op.get_bind()
    schema = bind.scalar(sa.text("select quote_ident(current_schema())"))
    for statement in _PROTECTION.read_text().split("\n\n"):
        bind.exec_driver_sql(statement.replace("{schema}", str(schema)))
