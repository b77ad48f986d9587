"""Which rooms an import brought messages for."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "imported_rooms",
        sa.Column("import_run", sa.Text(), nullable=False),
        sa.Column("room_id", sa.Text(), nullable=False),
        sa.Column("noted_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["room_id"], ["rooms.id"], name="fk_imported_rooms_room_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("import_run", "room_id", name="pk_imported_rooms"),
    )
    op.create_index("ix_imported_rooms_room_id", "imported_rooms", ["room_id"])
    op.execute("alter table imported_rooms enable row level security, force row level security")
    op.execute("create policy system on imported_rooms to afterturn_system using (true) with check (true)")
    op.execute("grant select, insert, update, delete on imported_rooms to afterturn_system")


def downgrade() -> None:
    op.drop_table("imported_rooms")
