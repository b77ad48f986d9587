"""Whose memories a model was shown, so that an erased one is found wherever it was; when we failed on a chunk."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

_INDEX = "ix_model_answers_shown_owners"


def upgrade() -> None:
    op.add_column("chunks", sa.Column("failed_at", sa.DateTime(timezone=True), nullable=True))
    op.create_index(
        _INDEX,
        "model_answers",
        [sa.text("jsonb_path_query_array(shown, '$.known[*].owner.id')")],
        postgresql_using="gin",
        postgresql_where="step = 'extract'",
    )


def downgrade() -> None:
    op.drop_index(_INDEX, table_name="model_answers")
    op.drop_column("chunks", "failed_at")
