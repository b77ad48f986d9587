"""What maintenance merged, what analytics counted, and how long a tenant's rows are kept."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

_TABLES = ("analyses", "memory_merges", "retention")
# Only who owns a table may analyse it. No name comes from outside: it is one of the tables of our schema.
_ANALYZE = """
create function afterturn_analyze(place text) returns boolean
language plpgsql security definer set search_path = {path} as $$
declare
  found regclass := (
    select oid::regclass from pg_class
    where relname = place and relkind = 'r' and relnamespace = {schema}::regnamespace
  );
begin
  if found is null then
    return false;
  end if;
  execute format('analyze %s', found);
  return true;
end $$
"""


def upgrade() -> None:
    op.create_table(
        "retention",
        sa.Column("owner_type", sa.Text(), nullable=False),
        sa.Column("owner_id", sa.Uuid(), nullable=False),
        sa.Column("table_name", sa.Text(), nullable=False),
        sa.Column("days", sa.BigInteger(), nullable=False),
        _now("set_at"),
        sa.CheckConstraint("owner_type in ('user', 'company')", name=op.f("ck_retention_owner_type")),
        sa.CheckConstraint("days >= 0", name=op.f("ck_retention_days")),
        sa.PrimaryKeyConstraint("owner_type", "owner_id", "table_name", name="pk_retention"),
    )
    _create_merges()
    op.create_table(
        "analyses",
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("figures", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("run_id", sa.Text(), nullable=False),
        _now("taken_at"),
        sa.PrimaryKeyConstraint("day", name="pk_analyses"),
    )
    op.create_index("ix_model_answers_created_at", "model_answers", ["created_at"])
    for table in _TABLES:
        op.execute(f"alter table {table} enable row level security, force row level security")
        op.execute(f"create policy system on {table} to afterturn_system using (true) with check (true)")
        op.execute(f"grant select, insert, update, delete on {table} to afterturn_system")
    _create_analyze()


def downgrade() -> None:
    op.execute("drop function afterturn_analyze")
    op.drop_index("ix_model_answers_created_at", "model_answers")
    for table in _TABLES:
        op.drop_table(table)


def _create_merges() -> None:
    table = "memory_merges"
    op.create_table(
        table,
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=True),
        sa.Column("company_id", sa.Uuid(), nullable=True),
        sa.Column("kept_slug", sa.String(255), nullable=False),
        sa.Column("ended_slug", sa.String(255), nullable=False),
        sa.Column("kept_version", sa.Uuid(), nullable=False),
        sa.Column("ended_version", sa.Uuid(), nullable=False),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("similarity", sa.Float(), nullable=True),
        sa.Column("run_id", sa.Text(), nullable=False),
        _now("planned_at"),
        sa.Column("done_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("undone_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("num_nonnulls(user_id, company_id) = 1", name=op.f("ck_memory_merges_owner")),
        sa.CheckConstraint("reason in ('same_words', 'same_meaning')", name=op.f("ck_memory_merges_reason")),
        sa.CheckConstraint("kept_slug <> ended_slug", name=op.f("ck_memory_merges_two")),
        _gone_with(table, "user_id", "profiles"),
        _gone_with(table, "company_id", "companies"),
        _gone_with(table, "ended_version", "memory_versions"),
        sa.PrimaryKeyConstraint("id", name="pk_memory_merges"),
        sa.UniqueConstraint("ended_version", name="uq_memory_merges_ended_version"),
    )
    for owner in ("user_id", "company_id"):
        op.create_index(f"ix_memory_merges_{owner}", table, [owner], postgresql_where=f"{owner} is not null")
    op.create_index("ix_memory_merges_planned_at", table, ["planned_at", "id"])


def _create_analyze() -> None:
    bind = op.get_bind()
    schema, quoted = bind.execute(
        sa.text("select quote_ident(current_schema()), quote_literal(current_schema())")
    ).one()
    bind.exec_driver_sql(_ANALYZE.format(path=f"{schema}, pg_temp", schema=quoted))
    op.execute("revoke execute on function afterturn_analyze from public")
    op.execute("grant execute on function afterturn_analyze to afterturn_system")


def _now(name: str) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False)


def _gone_with(table: str, column: str, other: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint([column], [f"{other}.id"], name=f"fk_{table}_{column}", ondelete="CASCADE")
