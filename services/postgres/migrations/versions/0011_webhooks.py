"""Who is told of what changes."""

from pathlib import Path

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

_SQL = Path(__file__).parent.parent / "sql" / "0011_webhooks.sql"
_WHEN = sa.DateTime(timezone=True)
_TRIGGERS = {
    "chunks": ("queue_digested",),
    "user_brain": ("queue_added", "queue_changed", "queue_ended"),
    "company_brain": ("queue_added", "queue_changed", "queue_ended"),
    "messages": ("drop_events",),
}


def upgrade() -> None:
    _create_webhooks()
    _create_outbox()
    for table in ("webhooks", "outbox"):
        op.execute(f"alter table {table} enable row level security, force row level security")
        op.execute(f"create policy system on {table} to afterturn_system using (true) with check (true)")
        op.execute(f"grant select, insert, update, delete on {table} to afterturn_system")
    _run()


def downgrade() -> None:
    for table, names in _TRIGGERS.items():
        for name in names:
            op.execute(f"drop trigger {name} on {table}")
    op.execute(
        "drop function afterturn_drop_events, afterturn_queue_changed, afterturn_queue_digested, afterturn_external_id"
    )
    op.drop_table("outbox")
    op.drop_table("webhooks")


def _create_webhooks() -> None:
    op.create_table(
        "webhooks",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("events", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("secret", sa.Text(), nullable=False),
        sa.Column("owner_type", sa.Text(), nullable=True),
        sa.Column("owner_id", sa.Uuid(), nullable=True),
        sa.Column("owner_external_id", sa.Text(), nullable=True),
        sa.Column("active", sa.Boolean(), server_default="true", nullable=False),
        sa.Column("ended", sa.Text(), nullable=True),
        sa.Column("failing_since", _WHEN, nullable=True),
        sa.Column("failure", sa.Text(), nullable=True),
        sa.Column("created_at", _WHEN, server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint(
            "events <@ array['message.digested', 'memory.changed'] and events <> '{}'", name=op.f("ck_webhooks_events")
        ),
        sa.CheckConstraint("owner_type in ('user', 'company')", name=op.f("ck_webhooks_owner_type")),
        sa.CheckConstraint("(owner_type is null) = (owner_id is null)", name=op.f("ck_webhooks_owner")),
        sa.CheckConstraint("active = (ended is null)", name=op.f("ck_webhooks_ended")),
        sa.PrimaryKeyConstraint("id", name="pk_webhooks"),
    )
    op.create_index("ix_webhooks_created_at_id", "webhooks", ["created_at", "id"])


def _create_outbox() -> None:
    op.create_table(
        "outbox",
        sa.Column("seq", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("webhook_id", sa.Uuid(), nullable=False),
        sa.Column("event_id", sa.Uuid(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("subject_id", sa.Uuid(), nullable=False),
        sa.Column("owner_type", sa.Text(), nullable=True),
        sa.Column("owner_id", sa.Uuid(), nullable=True),
        sa.Column("data", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("state", sa.Text(), server_default="waiting", nullable=False),
        sa.Column("attempts", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("occurred_at", _WHEN, server_default=sa.text("now()"), nullable=False),
        sa.Column("ended_at", _WHEN, nullable=True),
        sa.CheckConstraint("state in ('waiting', 'delivered', 'refused')", name=op.f("ck_outbox_state")),
        sa.ForeignKeyConstraint(["webhook_id"], ["webhooks.id"], name="fk_outbox_webhook_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("seq", name="pk_outbox"),
        sa.UniqueConstraint("webhook_id", "event_id", name="uq_outbox_webhook_id_event_id"),
    )
    op.create_index("ix_outbox_waiting", "outbox", ["webhook_id", "seq"], postgresql_where="state = 'waiting'")
    op.create_index("ix_outbox_subject_id", "outbox", ["subject_id"])
    op.create_index("ix_outbox_owner_id", "outbox", ["owner_id"])
    op.create_index("ix_outbox_ended_at", "outbox", ["ended_at"], postgresql_where="state <> 'waiting'")


def _run() -> None:
    """Run the file's statements, which stand apart by an empty line."""
    bind = op.get_bind()
    schemas = bind.execute(
        sa.text(
            "select quote_ident(current_schema()), quote_ident(nspname) "
            "from pg_extension join pg_namespace on pg_namespace.oid = extnamespace where extname = 'vector'"
        )
    ).one()
    path = ", ".join([*dict.fromkeys(schemas), "pg_temp"])
    for statement in _SQL.read_text().split("\n\n"):
        bind.exec_driver_sql(statement.replace("{path}", path).replace("{schema}", schemas[0]))
