"""Writes a memory to its brain and to Mem0 in one transaction."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Self
from uuid import UUID

from sqlalchemy import delete
from sqlalchemy.orm import Session

from services.domain.memories import NewMemory, Owner, SavedMemory, brain_id
from services.mem0_store.model_tables import ModelTables, WrittenModels
from services.mem0_store.payloads import Remembered, payload_of
from services.postgres.forgetting.epochs import enter, refuse_forgotten
from services.postgres.memories.writing import Placed, know_owner, lock, preview, record
from services.postgres.tables.memories import Mem0IntentRow

# By model and text: a vector depends on nothing else.
Vectors = Mapping[str, Mapping[str, Sequence[float]]]


@dataclass(frozen=True, slots=True)
class VectorsNeeded:
    """Nothing was written: these texts must be embedded first, which no transaction waits for.

    `model` is the current one, None where the database has none yet; `beside` may be embedded by as well. `dimensions`
    are those of the current model's tables; None where it has none yet.
    """

    texts: tuple[str, ...]
    model: str | None
    beside: tuple[str, ...]
    dimensions: int | None

    @classmethod
    def of(cls, texts: Sequence[str], models: WrittenModels) -> Self:
        dimensions = models.tables.dimensions if models.tables else None
        return cls(tuple(texts), models.model, tuple(tables.model for tables in models.beside), dimensions)


@dataclass(frozen=True, slots=True)
class _Plan:
    """What saving will do: `wanted` stands after it, `held` is in Mem0 now, `past` becomes a version of the past."""

    placed: Placed
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


def save(session: Session, owner: Owner, memory: NewMemory, *, vectors: Vectors) -> SavedMemory | VectorsNeeded:
    """Save a memory in both places, under a lock of its own, or say what is needed for that."""
    models = WrittenModels.find(session)
    enter(session, owner, memory.epoch)
    refuse_forgotten(session, memory)
    brain = brain_id(owner, memory.slug)
    lock(session, brain)
    plan = _plan(session, owner, memory, models.tables)
    if is_lacking(plan.texts, models, vectors):
        return VectorsNeeded.of(plan.texts, models)
    record(session, owner, memory, memory_id=str(brain) if plan.wanted else None)
    if models.tables:
        _write(models.tables, plan, plan.held, vectors)
    for tables in models.beside:
        _write(tables, plan, tables.payload(brain), vectors)
    drop_intent(session, brain)
    return SavedMemory(memory.slug, plan.placed.change, str(brain) if plan.wanted else None)


def is_lacking(texts: Sequence[str], models: WrittenModels, vectors: Vectors) -> bool:
    """Tell whether a text must be embedded by the current model first, whichever that is by now.

    Raises `ModelUnavailableError` where that model answers another length than its tables hold.
    """
    if models.tables is None:
        return bool(texts)
    made = vectors.get(models.tables.model, {})
    for text in texts:
        if text in made:
            models.tables.check(made[text])
    return any(text not in made for text in texts)


def _write(tables: ModelTables, plan: _Plan, held: Mapping[str, Any] | None, vectors: Vectors) -> None:
    placed, made = plan.placed, fitting(tables, vectors)
    if placed.superseded:
        tables.keep_past(placed.brain_id, placed.superseded)
    if plan.past and plan.past in made:
        tables.keep(placed.version_id, made[plan.past])
    put(tables, placed.brain_id, plan.wanted, held, made)


def fitting(tables: ModelTables, vectors: Vectors) -> Mapping[str, Sequence[float]]:
    """Give a model's vectors by text, without those that are of another length than its tables hold."""
    return {text: vector for text, vector in vectors.get(tables.model, {}).items() if len(vector) == tables.dimensions}


def put(
    tables: ModelTables,
    brain: UUID,
    wanted: Remembered | None,
    held: Mapping[str, Any] | None,
    made: Mapping[str, Sequence[float]],
) -> None:
    """Make Mem0 hold a memory, or nothing, in place of what it holds.

    Nothing, too, where its vector is not made: it is left out beside the current model, and `Reembed` finds that.
    """
    if wanted is None or not (wanted.says(held or {}) or wanted.content in made):
        if held is not None:
            tables.delete(brain)
        return
    payload = payload_of(wanted, created_at=(held or {}).get("created_at"), now=datetime.now(UTC))
    if held is None:
        tables.insert(brain, made[wanted.content], payload)
    elif not wanted.is_in(held):
        tables.update(brain, None if wanted.says(held) else made[wanted.content], payload)


def drop_intent(session: Session, brain: UUID) -> None:
    """Forget that something was to be deleted: it is, or it stands again."""
    row = Mem0IntentRow
    session.execute(delete(row).where(row.brain_id == brain, row.action == "delete"))


def _plan(session: Session, owner: Owner, memory: NewMemory, tables: ModelTables | None) -> _Plan:
    entity = know_owner(session, owner)
    placed = preview(session, owner, memory)
    past = memory.content if placed.change == "earlier" else None
    if past and tables and tables.keeps(placed.version_id):
        past = None
    return _Plan(
        placed=placed,
        wanted=_remembered(owner, entity, memory.slug, placed),
        held=tables.payload(placed.brain_id) if tables else None,
        past=past,
    )


def _remembered(owner: Owner, entity: str, slug: str, placed: Placed) -> Remembered | None:
    standing = placed.standing
    if standing is None:
        return None
    return Remembered(owner, entity, slug, standing.content, standing.kind, standing.metadata)
