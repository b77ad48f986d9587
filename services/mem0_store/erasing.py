"""Erases what the open-source Mem0 holds of an owner, in the tables of every model."""

from uuid import UUID

from sqlalchemy import delete, select, text
from sqlalchemy.orm import Session

from services.domain.memories import Owner
from services.postgres.tables.memories import Mem0IntentRow
from services.postgres.tables.vectors import EmbeddingModelRow

_ORPHANS = (
    "delete from {place} where payload ->> 'owner_type' = :type and payload ->> 'owner_id' = :id and not exists "
    "(select from user_brain where user_brain.id = {place}.id) and not exists "
    "(select from company_brain where company_brain.id = {place}.id) returning id"
)


def erase_orphans(session: Session, owner: Owner) -> int:
    """Delete the owner's memories that no brain record stands for; answer how many they were."""
    # The current model's first: what is brought to another one is held there meanwhile.
    row = EmbeddingModelRow
    places = select(row.memory_table).where(row.memory_table.is_not(None)).order_by(row.role)
    asked = {"type": owner.type, "id": str(owner.id)}
    gone: set[UUID] = set()
    for place in session.scalars(places).all():
        gone |= set(session.scalars(text(_ORPHANS.format(place=place)), asked))
    return len(gone)


def drop_deletions(session: Session, owner: Owner) -> None:
    """Forget what was left to delete in Mem0: it is."""
    row = Mem0IntentRow
    session.execute(delete(row).where(row.owner_type == owner.type, row.owner_id == owner.id, row.action == "delete"))
