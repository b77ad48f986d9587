"""Writes memories: their versions, their sources and the brain record.

Functions of a synchronous session, so that both stores of Mem0 share them; an asynchronous one calls them by
`run_sync`. The caller's transaction makes the record one with whatever else it writes.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Uuid, cast, delete, func, literal, select, text, update
from sqlalchemy.dialects.postgresql import ARRAY, insert
from sqlalchemy.orm import Session

from services.domain.errors import ChangedMeanwhileError, OwnerUnknownError
from services.domain.histories import Assertion, Placement, assertion_of, digest, place
from services.domain.languages import language_of
from services.domain.memories import Change, Kind, NewMemory, Owner, brain_id, entity_id
from services.postgres.tables.memories import CompanyBrainRow, MemorySourceRow, MemoryVersionRow, UserBrainRow
from services.postgres.vectors.tables import copy_vectors


@dataclass(frozen=True, slots=True)
class Standing:
    """What a memory says now."""

    content: str
    kind: Kind
    metadata: dict[str, Any]
    asserted_at: datetime
    version_id: UUID


@dataclass(frozen=True, slots=True)
class Placed:
    """What became of an assertion.

    `version_id` is of the version that it became or joined, `memory_id` of the brain record that stood before,
    `standing` what stands after it, and `superseded` the version that stood before and now is past.
    """

    change: Change
    brain_id: UUID
    version_id: UUID
    memory_id: str | None
    standing: Standing | None
    superseded: UUID | None = None


def know_owner(session: Session, owner: Owner) -> str:
    """Give Mem0's entity id of an owner, adding the owner where the host's tables allow it.

    Raises `OwnerUnknownError` where they do not, `InvalidInputError` for a RUT that is none.
    """
    asked = text("select known, rut from afterturn_know_owner(:type, :id, :external_id)")
    given = {"type": owner.type, "id": owner.id, "external_id": owner.external_id}
    found = session.execute(asked, given).one()
    if not found.known:
        raise OwnerUnknownError(f"the host's tables do not know this {owner.type}")
    return entity_id(owner, found.rut)


def lock(session: Session, brain: UUID) -> None:
    """Let one transaction at a time write a memory, until it ends."""
    session.execute(select(func.pg_advisory_xact_lock(lock_key(brain))))


def lock_key(brain: UUID) -> int:
    return int.from_bytes(brain.bytes[:8], signed=True)


def preview(session: Session, owner: Owner, memory: NewMemory) -> Placed:
    """Say what `record` would do, and write nothing.

    Raises `ChangedMeanwhileError` where something else stands than `memory.stands` says; not for a memory that is
    recorded already, whose first try got through.
    """
    seen = _look(session, owner, memory)
    if memory.stands is not None and seen.new.id not in seen.known and not _stands(memory.stands, seen.place.stood):
        raise ChangedMeanwhileError("the memory is not the one that the caller saw")
    return _placed(session, memory, seen)


def record(session: Session, owner: Owner, memory: NewMemory, *, memory_id: str | None) -> Placed:
    """Write an assertion with its sources, and make the brain record what stands now; again, it changes nothing.

    `memory_id` is Mem0's, and needed where a brain record must be made; without it the one that stands is kept. The
    owner must be known.
    """
    lock(session, brain_id(owner, memory.slug))
    seen = _look(session, owner, memory)
    if seen.new.id not in seen.known:
        _insert(session, owner, memory, seen)
    _add_sources(session, seen.new, memory)
    placed = _placed(session, memory, seen)
    _set_brain(session, owner, memory.slug, placed, seen.brain, memory_id)
    return placed


@dataclass(frozen=True, slots=True)
class _BrainRecord:
    memory_id: str
    content: str
    metadata: dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Seen:
    """A memory as this transaction sees it, and the place of the new assertion in it."""

    brain_id: UUID
    new: Assertion
    known: dict[UUID, Assertion]
    place: Placement
    brain: _BrainRecord | None


def _look(session: Session, owner: Owner, memory: NewMemory) -> _Seen:
    brain = brain_id(owner, memory.slug)
    new = assertion_of(brain, memory)
    row = MemoryVersionRow
    content = func.sha256(func.convert_to(row.content, "UTF8"))
    rows = session.execute(
        select(row.id, row.asserted_at, content, row.extra_metadata, row.kind).where(row.brain_id == brain)
    )
    known = {
        id_: Assertion(id_, asserted_at, None if said is None else digest(said, metadata), kind)
        for id_, asserted_at, said, metadata, kind in rows
    }
    table = _table(owner)
    standing = select(table.memory_id, table.content, table.extra_metadata).where(table.id == brain)
    found = session.execute(standing).one_or_none()
    return _Seen(brain, new, known, place(known.values(), new), _BrainRecord(*found) if found else None)


def _stands(expected: UUID | str, stood: Assertion | None) -> bool:
    standing = stood.id if stood and stood.said is not None else None
    if isinstance(expected, UUID):
        return standing == expected
    return (standing is None) == (expected == "nothing")


def _insert(session: Session, owner: Owner, memory: NewMemory, seen: _Seen) -> None:
    place, new = seen.place, seen.new
    if place.stood and place.stood != place.current:
        _flag(session, place.stood, is_current=False)
    for first, second in place.renamed:
        if second == new:
            _flag(session, first, repeats=True)
    row = version_row(owner, memory, new, repeats=place.version != new, is_current=place.current == new)
    session.execute(insert(MemoryVersionRow).values(row))
    for first, second in place.renamed:
        if second != new:
            _flag(session, second, repeats=False, is_current=place.current == second)
        copy_vectors(session, first.id, second.id)


def version_row(
    owner: Owner, memory: NewMemory, new: Assertion, *, repeats: bool = False, is_current: bool = True
) -> dict[str, Any]:
    """Give the row of an assertion: by default of one that nothing is known before."""
    return {
        "id": new.id,
        "brain_id": brain_id(owner, memory.slug),
        "user_id": owner.id if owner.type == "user" else None,
        "company_id": owner.id if owner.type == "company" else None,
        "slug": memory.slug,
        "kind": memory.kind,
        "content": memory.content,
        "extra_metadata": memory.metadata,
        "language": language_of(memory.content or ""),
        "asserted_at": new.asserted_at,
        "repeats": repeats,
        "is_current": is_current,
        "made_by": memory.made_by,
        "prompt_version": memory.prompt_version,
        "model": memory.model,
        "run_id": memory.run_id,
    }


def _flag(session: Session, version: Assertion, **flags: bool) -> None:
    session.execute(update(MemoryVersionRow).where(MemoryVersionRow.id == version.id).values(flags))


def _add_sources(session: Session, assertion: Assertion, memory: NewMemory) -> None:
    """Name the messages that bear it out; those that were deleted meanwhile are left out."""
    if not memory.sources:
        return
    archived = func.afterturn_archived(cast(list(memory.sources), ARRAY(Uuid))).column_valued("uid")
    session.execute(
        insert(MemorySourceRow)
        .from_select(["version_id", "message_uid"], select(literal(assertion.id, Uuid), archived))
        .on_conflict_do_nothing()
    )


def _placed(session: Session, memory: NewMemory, seen: _Seen) -> Placed:
    place = seen.place
    standing = None
    if place.current.said is not None:
        standing = _standing(session, memory, seen)
    return Placed(
        change=place.change,
        brain_id=seen.brain_id,
        version_id=place.version.id,
        memory_id=seen.brain.memory_id if seen.brain else None,
        standing=standing,
        superseded=place.superseded.id if place.superseded else None,
    )


def _standing(session: Session, memory: NewMemory, seen: _Seen) -> Standing:
    current = seen.place.current
    if current == seen.new and current.id not in seen.known and memory.content is not None:
        return Standing(memory.content, memory.kind, memory.metadata, current.asserted_at, current.id)
    row = MemoryVersionRow
    content, metadata = session.execute(select(row.content, row.extra_metadata).where(row.id == current.id)).one()
    return Standing(content, current.kind, metadata, current.asserted_at, current.id)


def _set_brain(
    session: Session, owner: Owner, slug: str, placed: Placed, record: _BrainRecord | None, memory_id: str | None
) -> None:
    table, standing = _table(owner), placed.standing
    if standing is None:
        if record:
            session.execute(delete(table).where(table.id == placed.brain_id))
        return
    memory_id = memory_id or placed.memory_id
    if memory_id is None:
        raise ValueError("a brain record needs Mem0's id")
    if record == _BrainRecord(memory_id, standing.content, standing.metadata):
        return
    said = {"memory_id": memory_id, "content": standing.content, "extra_metadata": standing.metadata}
    named = {"id": placed.brain_id, f"{owner.type}_id": owner.id, "slug": slug}
    session.execute(
        insert(table)
        .values({**named, **said})
        .on_conflict_do_update(index_elements=["id"], set_={**said, "updated_at": func.now()})
    )


def _table(owner: Owner) -> type[UserBrainRow] | type[CompanyBrainRow]:
    return UserBrainRow if owner.type == "user" else CompanyBrainRow
