"""What was forgotten stays forgotten."""

from pathlib import Path

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_SQL = Path(__file__).parent.parent / "sql"
_MADE_HERE = "Made by Afterturn."
_ADDED_HERE = "Added by Afterturn."
_TABLES = ("memories_to_settle", "forgettings", "forgotten_messages", "owner_epochs")


def upgrade() -> None:
    _create_epochs()
    _create_forgettings()
    op.create_index("ix_messages_user_id", "messages", ["user_id"], postgresql_where="user_id is not null")
    op.create_index("ix_messages_company_id", "messages", ["company_id"], postgresql_where="company_id is not null")
    # The claims of redriven entries whose key named no room.
    op.create_index(
        "ix_messages_claim_of_buffer",
        "messages",
        ["claim"],
        postgresql_where="claim like 'user:%' or claim like 'room:%'",
    )
    _run("functions")
    _run("rights")


def downgrade() -> None:
    op.execute("drop function afterturn_enter, afterturn_forgotten, afterturn_forget_owner")
    for index in ("ix_messages_claim_of_buffer", "ix_messages_company_id", "ix_messages_user_id"):
        op.drop_index(index, "messages")
    for table in _TABLES:
        op.drop_table(table)


def _create_epochs() -> None:
    op.create_table(
        "owner_epochs",
        sa.Column("owner_type", sa.Text(), nullable=False),
        sa.Column("owner_id", sa.Uuid(), nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("claimed_before", sa.DateTime(timezone=True), nullable=False),
        sa.Column("forgotten_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("owner_type in ('user', 'company')", name=op.f("ck_owner_epochs_owner_type")),
        sa.PrimaryKeyConstraint("owner_type", "owner_id", name="pk_owner_epochs"),
        sa.UniqueConstraint("epoch", name="uq_owner_epochs_epoch"),
    )
    op.create_table(
        "forgotten_messages",
        sa.Column("uid", sa.Uuid(), nullable=False),
        sa.PrimaryKeyConstraint("uid", name="pk_forgotten_messages"),
    )


def _create_forgettings() -> None:
    op.create_table(
        "forgettings",
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("owner_type", sa.Text(), nullable=False),
        sa.Column("owner_id", sa.Uuid(), nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=True),
        *(_jsonb(name) for name in ("names", "erased")),
        sa.Column("own_row", sa.Text(), nullable=True),
        sa.Column("started_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("forgotten_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("owner_type in ('user', 'company')", name=op.f("ck_forgettings_owner_type")),
        sa.PrimaryKeyConstraint("run_id", name="pk_forgettings"),
    )
    op.create_index("ix_forgettings_owner_type_owner_id", "forgettings", ["owner_type", "owner_id"])
    op.create_table(
        "memories_to_settle",
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("owner_type", sa.Text(), nullable=False),
        sa.Column("owner_id", sa.Uuid(), nullable=False),
        sa.Column("slug", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["run_id"], ["forgettings.run_id"], name="fk_memories_to_settle_run_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("run_id", "owner_type", "owner_id", "slug", name="pk_memories_to_settle"),
    )


def _jsonb(name: str) -> sa.Column[object]:
    return sa.Column(name, postgresql.JSONB(astext_type=sa.Text()), server_default="{}", nullable=False)


def _run(part: str) -> None:
    """Run a file's statements, which stand apart by an empty line."""
    bind = op.get_bind()
    schemas = bind.execute(
        sa.text(
            "select quote_ident(current_schema()), quote_ident(nspname) "
            "from pg_extension join pg_namespace on pg_namespace.oid = extnamespace where extname = 'vector'"
        )
    ).one()
    known = {
        "{path}": ", ".join([*dict.fromkeys(schemas), "pg_temp"]),
        "{schema}": schemas[0],
        "{made_here}": _MADE_HERE,
        "{added_here}": _ADDED_HERE,
    }
    for statement in (_SQL / f"0007_{part}.sql").read_text().split("\n\n"):
        for name, value in known.items():
            statement = statement.replace(name, value)  # noqa: PLW2901
        bind.exec_driver_sql(statement)
