"""Writes many memories at once of which nothing is known yet. What is known already goes by `memory_writing.record`.

Functions of a synchronous session, as there.
"""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import BigInteger, Uuid, bindparam, select, text, union
from sqlalchemy.dialects.postgresql import ARRAY, insert
from sqlalchemy.orm import Session

from services.domain.histories import assertion_of
from services.domain.memories import NewMemory, Owner, OwnerType, brain_id
from services.postgres.memories.writing import lock_key, version_row
from services.postgres.tables.memories import (
    CompanyBrainRow,
    Mem0IntentRow,
    MemoryVersionRow,
    UserBrainRow,
)

Said = tuple[Owner, NewMemory]
_BRAINS: dict[OwnerType, type[UserBrainRow] | type[CompanyBrainRow]] = {
    "user": UserBrainRow,
    "company": CompanyBrainRow,
}
_LOCK = text("select pg_advisory_xact_lock(key) from unnest(:keys) as key").bindparams(
    bindparam("keys", type_=ARRAY(BigInteger))
)

_ADD_SOURCES = text("""
insert into memory_sources (version_id, message_uid)
select said.version_id, said.uid from unnest(:versions, :uids) as said (version_id, uid)
where said.uid in (select archived.uid from afterturn_archived(:uids) as archived (uid))
on conflict do nothing
""").bindparams(bindparam("versions", type_=ARRAY(Uuid)), bindparam("uids", type_=ARRAY(Uuid)))


def lock_all(session: Session, brains: Sequence[UUID]) -> None:
    """Lock memories in the order of their locks, so that two batches never wait for each other in a circle."""
    session.execute(_LOCK, {"keys": sorted(map(lock_key, brains))}).all()


def known_among(session: Session, brains: Sequence[UUID]) -> set[UUID]:
    """Give those of these memories that anything is known of, or left to do for."""
    columns = (MemoryVersionRow.brain_id, UserBrainRow.id, CompanyBrainRow.id, Mem0IntentRow.brain_id)
    return set(session.scalars(union(*(select(column).where(column.in_(brains)) for column in columns))))


def record_new(session: Session, said: Sequence[Said]) -> None:
    """Write versions, sources and brain records of new memories, whose owners are known; each memory's id is Mem0's."""
    rows = [version_row(owner, memory, assertion_of(brain_id(owner, memory.slug), memory)) for owner, memory in said]
    if rows:
        session.execute(insert(MemoryVersionRow), rows)
        _add_sources(session, [(row["id"], uid) for row, one in zip(rows, said, strict=True) for uid in one[1].sources])
    for owner_type, table in _BRAINS.items():
        if brains := [_brain_row(*one) for one in said if one[0].type == owner_type]:
            session.execute(insert(table), brains)


def _add_sources(session: Session, borne_out: Sequence[tuple[UUID, UUID]]) -> None:
    """Name the messages that bear versions out; those that were deleted meanwhile are left out."""
    if borne_out:
        versions, uids = zip(*borne_out, strict=True)
        session.execute(_ADD_SOURCES, {"versions": list(versions), "uids": list(uids)})


def _brain_row(owner: Owner, memory: NewMemory) -> dict[str, object]:
    brain = brain_id(owner, memory.slug)
    return {
        "id": brain,
        f"{owner.type}_id": owner.id,
        "memory_id": str(brain),
        "slug": memory.slug,
        "content": memory.content,
        "extra_metadata": memory.metadata,
    }
