"""Writes a memory to its brain and to Mem0 in one transaction."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import delete
from sqlalchemy.orm import Session

from services.domain.memories import NewMemory, Owner, SavedMemory, brain_id
from services.mem0_store.model_tables import ModelTables
from services.mem0_store.payloads import Remembered, payload_of
from services.postgres.memory_writing import Placed, know_owner, lock, preview, record
from services.postgres.tables import Mem0IntentRow

# By text: a vector depends on nothing else.
Vectors = Mapping[str, Sequence[float]]


@dataclass(frozen=True, slots=True)
class VectorsNeeded:
    """Nothing was written: these texts must be embedded first, which no transaction waits for.

    `dimensions` are those of the model's tables; None where it has none yet.
    """

    texts: tuple[str, ...]
    dimensions: int | None


@dataclass(frozen=True, slots=True)
class _Plan:
    """What saving will do: `wanted` stands after it, `held` is in Mem0 now, `past` becomes a version of the past."""

    placed: Placed
    tables: ModelTables | None
    wanted: Remembered | None
    held: dict[str, Any] | None
    past: str | None

    @property
    def texts(self) -> list[str]:
        """Give the texts of which no vector is there yet."""
        texts = [self.past] if self.past else []
        if self.wanted and not self.wanted.says(self.held or {}):
            texts.append(self.wanted.content)
        return texts


def save(
    session: Session, owner: Owner, memory: NewMemory, *, model: str, vectors: Vectors
) -> SavedMemory | VectorsNeeded:
    """Save a memory in both places, under a lock of its own, or say what is needed for that."""
    brain = brain_id(owner, memory.slug)
    lock(session, brain)
    plan = _plan(session, owner, memory, model)
    tables, placed, wanted = plan.tables, plan.placed, plan.wanted
    if any(tables is None or text not in vectors for text in plan.texts):
        return VectorsNeeded(tuple(plan.texts), tables.dimensions if tables else None)
    record(session, owner, memory, memory_id=str(brain) if wanted else None)
    if tables and placed.superseded:
        tables.keep_past(brain, placed.superseded)
    if tables and plan.past:
        tables.keep(placed.version_id, vectors[plan.past])
    if tables:
        put(tables, brain, wanted, plan.held, vectors)
    drop_intent(session, brain)
    return SavedMemory(memory.slug, placed.change, str(brain) if wanted else None)


def put(
    tables: ModelTables, brain: UUID, wanted: Remembered | None, held: Mapping[str, Any] | None, vectors: Vectors
) -> None:
    """Make Mem0 hold a memory, or nothing, in place of what it holds."""
    if wanted is None:
        if held is not None:
            tables.delete(brain)
        return
    payload = payload_of(wanted, created_at=(held or {}).get("created_at"), now=datetime.now(UTC))
    if held is None:
        tables.insert(brain, vectors[wanted.content], payload)
    elif not wanted.is_in(held):
        tables.update(brain, None if wanted.says(held) else vectors[wanted.content], payload)


def drop_intent(session: Session, brain: UUID) -> None:
    """Forget that something was to be deleted: it is, or it stands again."""
    row = Mem0IntentRow
    session.execute(delete(row).where(row.brain_id == brain, row.action == "delete"))


def _plan(session: Session, owner: Owner, memory: NewMemory, model: str) -> _Plan:
    entity = know_owner(session, owner)
    placed = preview(session, owner, memory)
    tables = ModelTables.find(session, model)
    past = memory.content if placed.change == "earlier" else None
    if past and tables and tables.keeps(placed.version_id):
        past = None
    return _Plan(
        placed=placed,
        tables=tables,
        wanted=_remembered(owner, entity, memory.slug, placed),
        held=tables.payload(placed.brain_id) if tables else None,
        past=past,
    )


def _remembered(owner: Owner, entity: str, slug: str, placed: Placed) -> Remembered | None:
    standing = placed.standing
    if standing is None:
        return None
    return Remembered(owner, entity, slug, standing.content, standing.kind, standing.metadata)
