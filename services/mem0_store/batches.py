"""Writes many new memories, of whichever owners, to their brains and to Mem0 in one transaction."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from services.domain.errors import AfterturnError
from services.domain.memories import NewMemory, Owner, SavedMemory, brain_id
from services.mem0_store.model_tables import ModelTables, WrittenModels
from services.mem0_store.payloads import Remembered, payload_of
from services.mem0_store.port import Outcome
from services.mem0_store.saving import Vectors, VectorsNeeded, fitting, is_lacking
from services.postgres.forgetting.epochs import enter_each, refuse_forgotten_each
from services.postgres.memories.new_memories import Said, known_among, lock_all, record_new
from services.postgres.memories.writing import know_owner
from services.postgres.tables.forgetting import OwnerEpochRow


def save_new(session: Session, said: Sequence[Said], *, vectors: Vectors) -> dict[UUID, Outcome] | VectorsNeeded:
    """Save those memories of which nothing is known yet, or say what is needed for that.

    Answers, by brain id, what became of those that were new; all others are left as they are, and out of the answer.
    """
    models = WrittenModels.find(session)
    enter_each(session, said)
    refuse_forgotten_each(session, [memory for _, memory in said])
    brains = [brain_id(owner, memory.slug) for owner, memory in said]
    lock_all(session, brains)
    known = known_among(session, brains)
    if models.tables:
        known |= models.tables.holds(brains)
    new = [one for one, brain in zip(said, brains, strict=True) if brain not in known]
    texts = tuple(dict.fromkeys(memory.content for _, memory in new if memory.content is not None))
    if is_lacking(texts, models, vectors):
        return VectorsNeeded.of(texts, models)
    entities = _entities(session, [owner for owner, _ in new])
    saved = [(one, entity) for one in new if isinstance(entity := entities[one[0]], str)]
    record_new(session, [one for one, _ in saved])
    remembered = [
        Remembered(owner, entity, memory.slug, str(memory.content), memory.kind, memory.metadata)
        for (owner, memory), entity in saved
    ]
    for tables in (models.tables, *models.beside):
        if tables:
            _put_new(tables, remembered, vectors)
    return {brain_id(owner, memory.slug): _outcome(owner, memory, entities[owner]) for owner, memory in new}


def apart(said: Sequence[Said]) -> list[Said]:
    """Give those that may be written together.

    They say something, set no condition, and share their slug with none.
    """
    slugs = Counter(brain_id(owner, memory.slug) for owner, memory in said)
    return [
        (owner, memory)
        for owner, memory in said
        if memory.content is not None and memory.stands is None and slugs[brain_id(owner, memory.slug)] == 1
    ]


def newest_epoch(session: Session) -> int:
    return session.scalar(select(func.coalesce(func.max(OwnerEpochRow.epoch), 0))) or 0


def is_without_epoch(memory: NewMemory) -> bool:
    """Tell a memory that knows neither when its saving began nor a message that could have been forgotten."""
    return memory.epoch is None and not memory.sources


def begun_in(epoch: int, said: Sequence[Said]) -> list[Said]:
    """Say in which epoch the saving of those began that do not know."""
    return [(owner, replace(memory, epoch=epoch) if is_without_epoch(memory) else memory) for owner, memory in said]


def _entities(session: Session, owners: Sequence[Owner]) -> dict[Owner, str | AfterturnError]:
    """Give Mem0's id of each owner, or why it has none; one at fault does not stop the others."""
    found: dict[Owner, str | AfterturnError] = {}
    for owner in sorted(set(owners), key=lambda owner: owner.id):
        try:
            found[owner] = know_owner(session, owner)
        except AfterturnError as error:
            found[owner] = error
    return found


def _put_new(tables: ModelTables, remembered: Sequence[Remembered], vectors: Vectors) -> None:
    """Where a vector was not made it is left out beside the current model, and `Reembed` finds that."""
    made, now = fitting(tables, vectors), datetime.now(UTC)
    tables.insert_many(
        [
            (one.id, made[one.content], payload_of(one, created_at=None, now=now))
            for one in remembered
            if one.content in made
        ]
    )


def _outcome(owner: Owner, memory: NewMemory, entity: str | AfterturnError) -> Outcome:
    if isinstance(entity, str):
        return SavedMemory(memory.slug, "created", str(brain_id(owner, memory.slug)))
    return entity
