"""Memories with their versions and sources, owners, and the two roles under row-level security."""

from pathlib import Path

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from services.domain.errors import InvalidInputError
from services.domain.room_owner import room_owner

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_SQL = Path(__file__).parent.parent / "sql"
_MADE_HERE = "Made by Afterturn."
_ADDED_HERE = "Added by Afterturn."
_ROOMS_AT_ONCE = 5_000
# Another database's migration keeps the roles that it makes to itself until all of it is done.
_ROLES_TIMEOUT = "60s"
_UNDER_POLICIES = ("rooms", "messages", "chunks", "summaries")
_CHUNK_STATES = "state in ('waiting', {}'digested', 'quarantined', 'split')"


# The first migration's checks got their table's prefix twice.
_NAME_CHECKS = """
do $$
declare
  twice record;
begin
  for twice in
    select conrelid::regclass as place, conname as name, 'ck_' || relname || '_' as prefix
    from pg_constraint join pg_class on pg_class.oid = conrelid
    where contype = 'c' and relnamespace = current_schema()::regnamespace
    and starts_with(conname, 'ck_' || relname || '_ck_' || relname || '_')
  loop
    execute format(
      'alter table %s rename constraint %I to %I', twice.place, twice.name, substr(twice.name, length(twice.prefix) + 1)
    );
  end loop;
end $$
"""


def upgrade() -> None:
    _make_roles()
    op.get_bind().exec_driver_sql(_NAME_CHECKS)
    op.add_column("embedding_models", sa.Column("memory_table", sa.Text(), nullable=True))
    _let_chunks_wait_for_their_memories()
    _own_rooms()
    _own_people_and_companies()
    for owner, owners in (("user", "profiles"), ("company", "companies")):
        _create_brain(f"{owner}_brain", f"{owner}_id", owners)
    _create_versions()
    _create_intents()
    for table in _vector_tables():
        op.alter_column(table, "room_id", nullable=True)
    for part in ("functions", "policies", "triggers"):
        _run(part)


def downgrade() -> None:
    for owners in ("profiles", "companies"):
        op.execute(f'drop trigger "AFTERTURN_leave_intents" on {owners}')
    for table in (*_UNDER_POLICIES, *_vector_tables()):
        _open(table)
    memories = sa.text("select memory_table from embedding_models where memory_table is not null")
    for table in op.get_bind().scalars(memories).all():
        op.drop_table(table)
    for table in ("mem0_intents", "memory_sources", "memory_versions", "company_brain", "user_brain"):
        op.drop_table(table)
    for table in _vector_tables():
        op.execute(f"delete from {table} where room_id is null")  # noqa: S608  a name of ours
        op.alter_column(table, "room_id", nullable=False)
    _run("downgrade")
    for table in ("company_members", "companies", "profiles"):
        _give_back(table)
    op.drop_index("ix_rooms_owner_type_owner_id", "rooms")
    op.drop_column("rooms", "owner_type")
    op.drop_column("rooms", "owner_id")
    _set_chunk_states("", "state = 'waiting'")
    op.drop_column("embedding_models", "memory_table")


def _run(part: str) -> None:
    """Run a file's statements, which stand apart by an empty line."""
    bind = op.get_bind()
    schemas = bind.execute(
        sa.text(
            "select quote_ident(current_schema()), quote_ident(nspname) "
            "from pg_extension join pg_namespace on pg_namespace.oid = extnamespace where extname = 'vector'"
        )
    ).one()
    path = ", ".join([*dict.fromkeys(schemas), "pg_temp"])
    for statement in (_SQL / f"0002_{part}.sql").read_text().split("\n\n"):
        known = {"{path}": path, "{schema}": schemas[0], "{made_here}": _MADE_HERE}
        for name, value in known.items():
            statement = statement.replace(name, value)  # noqa: PLW2901
        bind.exec_driver_sql(statement)


def _vector_tables() -> list[str]:
    return list(op.get_bind().scalars(sa.text("select table_name from embedding_models")))


def _make_roles() -> None:
    """Before anything is locked here: nobody queues behind a migration that waits for another database's."""
    timeout = op.get_bind().scalar(sa.text("select current_setting('lock_timeout')"))
    op.execute(f"set local lock_timeout = '{_ROLES_TIMEOUT}'")
    _run("roles")
    op.execute(f"set local lock_timeout = '{timeout}'")


def _let_chunks_wait_for_their_memories() -> None:
    _set_chunk_states("'extracted', ", "state in ('waiting', 'extracted')")


def _set_chunk_states(added: str, waiting: str) -> None:
    op.drop_constraint(op.f("ck_chunks_state"), "chunks")
    op.drop_index("ix_chunks_waiting", "chunks")
    if not added:
        op.execute("update chunks set state = 'waiting' where state = 'extracted'")
    op.create_check_constraint(op.f("ck_chunks_state"), "chunks", _CHUNK_STATES.format(added))
    op.create_index("ix_chunks_waiting", "chunks", ["room_id", "first_seq"], postgresql_where=waiting)


def _own_rooms() -> None:
    op.add_column("rooms", sa.Column("owner_type", sa.Text(), nullable=True))
    op.add_column("rooms", sa.Column("owner_id", sa.Uuid(), nullable=True))
    op.create_check_constraint(op.f("ck_rooms_owner_type"), "rooms", "owner_type in ('user', 'company')")
    op.create_check_constraint(op.f("ck_rooms_owner"), "rooms", "(owner_type is null) = (owner_id is null)")
    bind = op.get_bind()
    page = sa.text("select id, user_id, company_id from rooms where id > :after order by id limit :limit")
    own = sa.text("update rooms set owner_type = :type, owner_id = :owner where id = :room")
    after = ""
    while rooms := bind.execute(page, {"after": after, "limit": _ROOMS_AT_ONCE}).all():
        after = rooms[-1].id
        owned = [found for room in rooms if (found := _owned(room))]
        if owned:
            bind.execute(own, owned)
    op.create_index("ix_rooms_owner_type_owner_id", "rooms", ["owner_type", "owner_id"])


def _owned(room: sa.Row[tuple[str, str | None, str | None]]) -> dict[str, object] | None:
    try:
        owner = room_owner(room.id, room.user_id, room.company_id)
    except InvalidInputError:
        return None
    return {"room": room.id, "type": owner.type, "owner": owner.id} if owner else None


def _own_people_and_companies() -> None:
    """Make what the host has not; to what it has, add what we need and nothing that it must fill."""
    _create_or_complete(
        "profiles",
        [*_named_by_the_host("profiles"), *(_text(name) for name in ("full_name", "email", "phone", "role"))],
    )
    _create_or_complete(
        "companies",
        [
            *_named_by_the_host("companies"),
            *(_text(name) for name in ("name", "tax_regime", "activity", "legal_representative")),
            sa.Column("start_date", sa.Date(), nullable=True),
            sa.Column("accounting_start", sa.Date(), nullable=True),
        ],
    )
    if sa.inspect(op.get_bind()).has_table("company_members"):
        _add_missing("company_members", [_text("role")])
        return
    op.create_table(
        "company_members",
        sa.Column("company_id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("role", sa.Text(), server_default="member", nullable=False),
        _owned_by("company_members", "company_id", "companies"),
        _owned_by("company_members", "user_id", "profiles"),
        sa.PrimaryKeyConstraint("company_id", "user_id", name="pk_company_members"),
        comment=_MADE_HERE,
    )
    op.create_index("ix_company_members_user_id", "company_members", ["user_id"])


def _named_by_the_host(table: str) -> list[sa.schema.SchemaItem]:
    return [
        sa.Column("id", sa.Uuid(), nullable=False),
        _text("external_id"),
        _text("rut"),
        sa.PrimaryKeyConstraint("id", name=f"pk_{table}"),
        sa.UniqueConstraint("external_id", name=f"uq_{table}_external_id"),
    ]


def _create_or_complete(table: str, parts: list[sa.schema.SchemaItem]) -> None:
    if not sa.inspect(op.get_bind()).has_table(table):
        op.create_table(table, *parts, *_times("created_at", "updated_at"), comment=_MADE_HERE)
    elif "external_id" in _add_missing(table, [_text("external_id"), _text("rut")]):
        op.create_unique_constraint(f"uq_{table}_external_id", table, ["external_id"])


def _add_missing(table: str, columns: list[sa.Column[str]]) -> list[str]:
    have = {column["name"] for column in sa.inspect(op.get_bind()).get_columns(table)}
    missing = [column for column in columns if column.name not in have]
    for column in missing:
        column.comment = _ADDED_HERE
        op.add_column(table, column)
    return [column.name for column in missing]


def _text(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), nullable=True)


def _times(*names: str) -> list[sa.Column[object]]:
    return [
        sa.Column(name, sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False) for name in names
    ]


def _jsonb(name: str) -> sa.Column[object]:
    return sa.Column(name, postgresql.JSONB(astext_type=sa.Text()), server_default="{}", nullable=False)


def _owned_by(table: str, column: str, owners: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint([column], [f"{owners}.id"], name=f"fk_{table}_{column}", ondelete="CASCADE")


def _create_brain(table: str, owner_id: str, owners: str) -> None:
    op.create_table(
        table,
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column(owner_id, sa.Uuid(), nullable=False),
        sa.Column("memory_id", sa.String(255), nullable=False),
        sa.Column("slug", sa.String(255), nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        _jsonb("extra_metadata"),
        *_times("created_at", "updated_at"),
        _owned_by(table, owner_id, owners),
        sa.PrimaryKeyConstraint("id", name=f"pk_{table}"),
        sa.UniqueConstraint("memory_id", name=f"uq_{table}_memory_id"),
        sa.UniqueConstraint(owner_id, "slug", name=f"uq_{table}_{owner_id}_slug"),
    )


def _create_versions() -> None:
    table = "memory_versions"
    op.create_table(
        table,
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("brain_id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=True),
        sa.Column("company_id", sa.Uuid(), nullable=True),
        sa.Column("slug", sa.String(255), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        _text("content"),
        _jsonb("extra_metadata"),
        sa.Column("language", sa.Text(), nullable=False),
        sa.Column(
            "lexemes",
            postgresql.TSVECTOR(),
            sa.Computed("text_lexemes(language, coalesce(content, ''))", persisted=True),
            nullable=False,
        ),
        sa.Column("asserted_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("repeats", sa.Boolean(), nullable=False),
        sa.Column("is_current", sa.Boolean(), nullable=False),
        sa.Column("made_by", sa.Text(), nullable=False),
        *(_text(name) for name in ("prompt_version", "model", "run_id")),
        *_times("recorded_at"),
        sa.CheckConstraint("num_nonnulls(user_id, company_id) = 1", name=op.f("ck_memory_versions_owner")),
        sa.CheckConstraint("kind in ('episodic', 'semantic', 'procedural')", name=op.f("ck_memory_versions_kind")),
        sa.CheckConstraint(
            "made_by in ('model', 'verbatim', 'caller', 'row')", name=op.f("ck_memory_versions_made_by")
        ),
        sa.CheckConstraint("not (repeats and is_current)", name=op.f("ck_memory_versions_repeats")),
        _owned_by(table, "user_id", "profiles"),
        _owned_by(table, "company_id", "companies"),
        sa.PrimaryKeyConstraint("id", name="pk_memory_versions"),
    )
    op.create_index("ix_memory_versions_brain_id_asserted_at", table, ["brain_id", "asserted_at"])
    op.create_index("uq_memory_versions_current", table, ["brain_id"], unique=True, postgresql_where="is_current")
    for owner in ("user_id", "company_id"):
        op.create_index(f"ix_memory_versions_{owner}", table, [owner], postgresql_where=f"{owner} is not null")
    op.create_table(
        "memory_sources",
        sa.Column("version_id", sa.Uuid(), nullable=False),
        sa.Column("message_uid", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(
            ["message_uid"], ["messages.uid"], name="fk_memory_sources_message_uid", ondelete="CASCADE"
        ),
        _owned_by("memory_sources", "version_id", table),
        sa.PrimaryKeyConstraint("version_id", "message_uid", name="pk_memory_sources"),
    )
    op.create_index("ix_memory_sources_message_uid", "memory_sources", ["message_uid"])


def _create_intents() -> None:
    op.create_table(
        "mem0_intents",
        sa.Column("brain_id", sa.Uuid(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("owner_type", sa.Text(), nullable=False),
        sa.Column("owner_id", sa.Uuid(), nullable=False),
        sa.Column("slug", sa.String(255), nullable=False),
        _text("entity_id"),
        sa.Column("memory_id", sa.String(255), nullable=True),
        _jsonb("payload"),
        sa.Column("attempts", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("lease_token", sa.Uuid(), nullable=True),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=True),
        *_times("created_at", "updated_at"),
        sa.CheckConstraint("action in ('save', 'delete')", name=op.f("ck_mem0_intents_action")),
        sa.CheckConstraint("owner_type in ('user', 'company')", name=op.f("ck_mem0_intents_owner_type")),
        sa.PrimaryKeyConstraint("brain_id", name="pk_mem0_intents"),
    )
    op.create_index("ix_mem0_intents_updated_at", "mem0_intents", ["updated_at"])


def _open(table: str) -> None:
    for policy in ("system", "seen", "written"):
        op.execute(f"drop policy if exists {policy} on {table}")
    op.execute(f"alter table {table} disable row level security, no force row level security")


def _give_back(table: str) -> None:
    """Drop a table that we made; from one of the host's, take what we added."""
    made_here = sa.text("select obj_description(cast(:place as regclass), 'pg_class') = :mark")
    if op.get_bind().scalar(made_here, {"place": table, "mark": _MADE_HERE}):
        op.drop_table(table)
        return
    for column in sa.inspect(op.get_bind()).get_columns(table):
        if column.get("comment") == _ADDED_HERE:
            op.drop_column(table, column["name"])
