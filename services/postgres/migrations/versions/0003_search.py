"""Who speaks in a room is found without reading what they say; search reads its scope, never an index of words."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_LEXEMES = ("messages", "summaries")


def upgrade() -> None:
    op.create_index("ix_messages_room_id_user_id", "messages", ["room_id", "user_id"])
    for table in _LEXEMES:
        op.drop_index(f"ix_{table}_lexemes", table)


def downgrade() -> None:
    for table in _LEXEMES:
        op.create_index(f"ix_{table}_lexemes", table, ["lexemes"], postgresql_using="gin")
    op.drop_index("ix_messages_room_id_user_id", "messages")
