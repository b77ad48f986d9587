"""Which embedding model is read, and which is being made ready."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_ROLES = "role in ('current', 'shadow', 'former', 'idle')"
# The setting that named the model until now is not known here: it was the one whose table was made last.
_NEWEST = """
update embedding_models set role = 'current'
where model = (select model from embedding_models order by created_at desc, model limit 1)
"""
# Tables are their maker's to drop; only what nobody reads or writes any more goes.
_DROP_MODEL = """
create function afterturn_drop_model(model_name text) returns void
language plpgsql security definer set search_path = {path} as $$
declare
  place text;
begin
  for place in
    select unnest(array[table_name, memory_table]) from embedding_models where model = model_name and role = 'idle'
  loop
    if place is not null then
      execute format('drop table %I', place);
    end if;
  end loop;
  delete from embedding_models where model = model_name and role = 'idle';
end $$
"""


def upgrade() -> None:
    op.add_column("embedding_models", sa.Column("role", sa.Text(), server_default="idle", nullable=False))
    op.create_check_constraint(op.f("ck_embedding_models_role"), "embedding_models", _ROLES)
    op.execute(_NEWEST)
    # One is read.
    op.create_index(
        "uq_embedding_models_role", "embedding_models", ["role"], unique=True, postgresql_where="role <> 'idle'"
    )
    op.get_bind().exec_driver_sql(_DROP_MODEL.replace("{path}", f"{_schema()}, pg_temp"))
    op.execute("revoke execute on function afterturn_drop_model from public")
    op.execute("grant execute on function afterturn_drop_model to afterturn_system")


def downgrade() -> None:
    op.execute("drop function afterturn_drop_model")
    op.drop_index("uq_embedding_models_role", "embedding_models")
    op.drop_constraint(op.f("ck_embedding_models_role"), "embedding_models")
    op.drop_column("embedding_models", "role")


def _schema() -> str:
    return str(op.get_bind().scalar(sa.text("select quote_ident(current_schema())")))
