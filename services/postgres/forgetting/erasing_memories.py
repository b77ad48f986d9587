"""Erases assertions of memories; what the others say of the same memory then stands."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from hashlib import sha256
from uuid import UUID

from sqlalchemy import delete, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session

from services.domain.histories import Assertion, digest, versions
from services.domain.memories import Owner, brain_id
from services.postgres.memories.writing import lock
from services.postgres.tables.memories import CompanyBrainRow, MemorySourceRow, MemoryVersionRow, UserBrainRow
from services.postgres.vectors.tables import copy_vectors, vector_tables

_VERSION = MemoryVersionRow
# Wherever it was shown: people's memories are in companies' rooms, too.
_SHOWN = text(
    "delete from model_answers where step = 'extract' "
    "and jsonb_path_query_array(shown, '$.known[*].owner.id') ? :owner "
    "and exists (select from jsonb_array_elements(shown -> 'known') as one "
    "where one #>> '{owner,id}' = :owner and one ->> 'content' = any(:contents)) returning chunk_id"
)


@dataclass(frozen=True, slots=True)
class Derived:
    """A memory and those of its assertions that are to go."""

    owner: Owner
    slug: str
    assertions: tuple[UUID, ...]


async def derived_from(session: AsyncSession, messages: Collection[UUID]) -> list[Derived]:
    """Give what these messages bear out, alone or with others: their words stand in it."""
    wanted = (
        select(_VERSION.id, _VERSION.user_id, _VERSION.company_id, _VERSION.slug)
        .where(_VERSION.id.in_(select(MemorySourceRow.version_id).where(MemorySourceRow.message_uid.in_(messages))))
        .order_by(_VERSION.brain_id, _VERSION.id)
    )
    found: dict[tuple[Owner, str], list[UUID]] = {}
    for row in await session.execute(wanted):
        owner = Owner("user", row.user_id) if row.user_id else Owner("company", row.company_id)
        found.setdefault((owner, row.slug), []).append(row.id)
    return [Derived(owner, slug, tuple(ids)) for (owner, slug), ids in found.items()]


async def erase_assertions(session: AsyncSession, derived: Sequence[Derived]) -> dict[str, int]:
    """Erase them with their vectors, and what a model was answered that was shown them; restate what is left."""
    counts = {"memory_versions": 0, "model_answers": 0}
    for one in sorted(derived, key=lambda each: brain_id(each.owner, each.slug)):
        contents = await session.run_sync(_erase, one)
        counts["memory_versions"] += len(one.assertions)
        for table in await vector_tables(session):
            await session.execute(delete(table).where(table.c.item_id.in_(one.assertions)))
        if contents:
            shown = await session.scalars(_SHOWN, {"owner": str(one.owner.id), "contents": contents})
            counts["model_answers"] += len(list(shown))
    return counts


def _erase(session: Session, one: Derived) -> list[str]:
    brain = brain_id(one.owner, one.slug)
    lock(session, brain)
    rows = list(session.scalars(select(_VERSION).where(_VERSION.brain_id == brain)))
    known = [_assertion(row) for row in rows]
    left = [each for each in known if each.id not in one.assertions]
    _lend_vectors(session, known, left)
    gone = delete(_VERSION).where(_VERSION.id.in_(one.assertions)).returning(_VERSION.content)
    contents = [content for content in session.scalars(gone) if content]
    _restate(session, one.owner, one.slug, left)
    return contents


def _assertion(row: MemoryVersionRow) -> Assertion:
    said = None
    if row.content is not None:
        said = digest(sha256(row.content.encode()).digest(), row.extra_metadata)
    return Assertion(row.id, row.asserted_at, said, row.kind)


def _lend_vectors(session: Session, known: Sequence[Assertion], left: Sequence[Assertion]) -> None:
    """What only said a version again may become one itself: it has the same words."""
    before = {one: run[0] for run in versions(known) for one in run}
    for run in versions(left):
        if before[run[0]] != run[0]:
            copy_vectors(session, before[run[0]].id, run[0].id)


def _restate(session: Session, owner: Owner, slug: str, left: Sequence[Assertion]) -> None:
    brain, runs = brain_id(owner, slug), versions(left)
    heads = [run[0].id for run in runs]
    every = _VERSION.brain_id == brain
    session.execute(update(_VERSION).where(every).values(is_current=False, repeats=_VERSION.id.not_in(heads)))
    if runs:
        session.execute(update(_VERSION).where(_VERSION.id == heads[-1]).values(is_current=True))
    standing = session.scalars(select(_VERSION).where(every, _VERSION.is_current)).one_or_none() if runs else None
    _set_brain(session, owner, slug, standing)


def _set_brain(session: Session, owner: Owner, slug: str, standing: MemoryVersionRow | None) -> None:
    table: type[UserBrainRow | CompanyBrainRow] = UserBrainRow if owner.type == "user" else CompanyBrainRow
    brain = brain_id(owner, slug)
    if standing is None or standing.content is None:
        session.execute(delete(table).where(table.id == brain))
        return
    said = {"content": standing.content, "extra_metadata": standing.extra_metadata}
    # Where no memory stands in Mem0 the open-source one would call it so; another one is told when it is settled.
    named = {"id": brain, f"{owner.type}_id": owner.id, "slug": slug, "memory_id": str(brain)}
    session.execute(insert(table).values({**named, **said}).on_conflict_do_update(index_elements=[table.id], set_=said))
