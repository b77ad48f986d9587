"""What a person or a company answered at onboarding, and their settings: columns of the tables that we made."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_MADE_HERE = "Made by Afterturn."
_COLUMNS = ("onboarding", "settings")


def upgrade() -> None:
    for table in _made_here():
        for name in _COLUMNS:
            op.add_column(table, sa.Column(name, postgresql.JSONB(astext_type=sa.Text()), nullable=True))


def downgrade() -> None:
    for table in _made_here():
        for name in _COLUMNS:
            op.drop_column(table, name)


def _made_here() -> list[str]:
    """A host's own table has its own columns, or none."""
    mark = sa.text("select obj_description(cast(:place as regclass), 'pg_class') = :mark")
    return [
        table for table in ("profiles", "companies") if op.get_bind().scalar(mark, {"place": table, "mark": _MADE_HERE})
    ]
