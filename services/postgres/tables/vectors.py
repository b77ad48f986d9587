"""Which embedding models have tables of their own."""

from datetime import datetime

from sqlalchemy import (
    CheckConstraint,
    Index,
    func,
)
from sqlalchemy.orm import Mapped, mapped_column

from services.postgres.tables.base import Base


class EmbeddingModelRow(Base):
    """A model's vectors live in tables of their own, so that dimensions never collide.

    `memory_table` is the one that the open-source Mem0 keeps its memories in, where it is used. The `current` model is
    read and written. A `shadow`, which is being made ready, and the `former` one, which may be gone back to, are
    written beside it; an `idle` one is neither.
    """

    __tablename__ = "embedding_models"

    model: Mapped[str] = mapped_column(primary_key=True)
    dimensions: Mapped[int]
    table_name: Mapped[str] = mapped_column(unique=True)
    memory_table: Mapped[str | None]
    role: Mapped[str] = mapped_column(server_default="idle")
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())

    __table_args__ = (
        CheckConstraint("role in ('current', 'shadow', 'former', 'idle')", name="role"),
        Index("uq_embedding_models_role", "role", unique=True, postgresql_where="role <> 'idle'"),
    )
