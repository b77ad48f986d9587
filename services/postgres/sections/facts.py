"""Finds facts by words and by meaning, and keeps their vectors."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from uuid import UUID

from sqlalchemy import delete, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from services.domain.memories import Owner
from services.postgres.search.asked_words import asked_words, with_asked_words
from services.postgres.sections.values import Packed
from services.postgres.tables.sections import SectionValueRow, SectionVectorRow
from services.postgres.vector_type import vector_text

_SQL = with_asked_words(files("services.postgres.sections").joinpath("section_search.sql").read_text())
_UNEMBEDDED = text("""
select fact.id, fact.version, fact.body, lacking.models
from section_values as fact, lateral (
  select array_agg(asked.model) as models from unnest(cast(:models as text[])) as asked (model)
  where not exists (
    select from section_vectors as have
    where have.value_id = fact.id and have.version = fact.version and have.model = asked.model
  )
) as lacking
where fact.section = 'facts' and fact.body is not null and fact.id > :after and lacking.models is not null
order by fact.id limit :limit
""")
_Row = SectionValueRow


@dataclass(frozen=True, slots=True)
class FactHit:
    key: str
    namespace: str
    packed: Packed
    version: int
    score: float


@dataclass(frozen=True, slots=True)
class Unembedded:
    """A version of a fact, what is to be embedded of it, and the models of which it lacks a vector."""

    id: UUID
    version: int
    body: str
    models: tuple[str, ...]


async def find_facts(
    session: AsyncSession,
    owner: Owner,
    words: str,
    vector: Sequence[float] | None,
    *,
    model: str,
    namespaces: Sequence[str] | None,
    limit: int,
) -> list[FactHit]:
    """Give the best first, of all namespaces where none are named.

    Without a `vector` words alone decide, and of a fact without one always.
    """
    parameters = asked_words(words) | {
        "vector": vector_text(vector) if vector else None,
        "model": model,
        "owner_type": owner.type,
        "owner_id": owner.id,
        "namespaces": list(namespaces) if namespaces is not None else None,
        "limit": limit,
    }
    found = await session.execute(text(_SQL), parameters)
    return [
        FactHit(row.key, row.namespace, Packed(row.value, row.is_compressed, row.raw_size), row.version, row.score)
        for row in found
    ]


async def unembedded(session: AsyncSession, models: Sequence[str], *, after: UUID, limit: int) -> list[Unembedded]:
    """List facts without a vector of their version by each of the models, in the order of their ids."""
    found = await session.execute(_UNEMBEDDED, {"models": list(models), "after": after, "limit": limit})
    return [Unembedded(row.id, row.version, row.body, tuple(row.models)) for row in found]


async def keep_vectors(session: AsyncSession, model: str, vectors: Mapping[Unembedded, Sequence[float]]) -> int:
    """Keep vectors of versions that stand still; answer how many."""
    kept = 0
    for fact, vector in vectors.items():
        # Held until the commit: a writer that comes meanwhile deletes what is kept here.
        standing = (
            select(_Row.id).where(_Row.id == fact.id, _Row.version == fact.version).with_for_update(key_share=True)
        )
        if await session.scalar(standing) is None:
            continue
        wanted = insert(SectionVectorRow).values(
            value_id=fact.id, model=model, version=fact.version, embedding=list(vector)
        )
        changes = {"version": wanted.excluded.version, "embedding": wanted.excluded.embedding}
        newer = SectionVectorRow.version <= wanted.excluded.version
        await session.execute(
            wanted.on_conflict_do_update(index_elements=["value_id", "model"], set_=changes, where=newer)
        )
        kept += 1
    return kept


async def drop_other_vectors(session: AsyncSession, models: Sequence[str], *, limit: int) -> int:
    """Delete vectors of other models than these."""
    row = SectionVectorRow
    old = select(row.value_id, row.model).where(row.model.not_in(models)).limit(limit).subquery()
    gone = await session.execute(
        delete(row).where(row.value_id == old.c.value_id, row.model == old.c.model).returning(row.value_id)
    )
    return len(gone.all())
