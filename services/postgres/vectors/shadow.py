"""Brings a model that is written beside the current one what it misses: pages of texts, and their vectors."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import BigInteger, Text, Uuid, bindparam, select, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncSession

from services.domain.errors import InvalidInputError
from services.domain.transcripts import embedding_text
from services.postgres.archive.messages import archived_message
from services.postgres.database import Database
from services.postgres.memories.writing import lock_key
from services.postgres.tables.archive import ArchivedRow, SummaryRow
from services.postgres.tables.memories import MemoryVersionRow
from services.postgres.vector_type import vector_text
from services.postgres.vectors.missing import count_missing, missing_facts, missing_items, missing_memories, prune
from services.postgres.vectors.roles import written_tables
from services.postgres.vectors.tables import VectorTable, memory_table

# `items` are messages, summaries and versions of memories; `memories` are what stands in the open-source Mem0; `facts`
# are the section store's.
Part = Literal["items", "memories", "facts"]

# What the current model gives up meanwhile is left out: who deletes it there first waits for this, and sees it here.
_KEEP_ITEMS = """
insert into {other} (item_id, kind, room_id, embedding)
select have.item_id, have.kind, have.room_id, cast(given.vector as vector)
from unnest(:ids, :vectors) as given (id, vector) join {current} as have on have.item_id = given.id
for share of have
on conflict (item_id) do nothing
returning 1
"""
_KEEP_MEMORIES = """
insert into {other} (id, vector, payload)
select have.id, cast(given.vector as vector), have.payload
from unnest(:ids, :vectors, :texts) as given (id, vector, data)
join {current} as have on have.id = given.id and have.payload ->> 'data' = given.data
for share of have
on conflict (id) do update set vector = excluded.vector, payload = excluded.payload
returning 1
"""
_KEEP_FACTS = """
insert into section_vectors (value_id, model, version, embedding)
select fact.id, :model, fact.version, cast(given.vector as vector)
from unnest(:ids, :vectors, :texts) as given (id, vector, data)
join section_values as fact on fact.id = given.id and fact.body = given.data
for no key update of fact
on conflict (value_id, model) do update set version = excluded.version, embedding = excluded.embedding
where section_vectors.version < excluded.version
returning 1
"""
# A memory that somebody is at work on is left to them, or to the next round: nobody waits for anybody.
_FREE = "select id from unnest(:ids, :keys) as asked (id, key) where pg_try_advisory_xact_lock(key)"


@dataclass(frozen=True, slots=True)
class Unshadowed:
    """Something that the current model has a vector of, and the other one has not."""

    id: UUID
    text: str


class ShadowVectors:
    """Raises `InvalidInputError` where the model is written no more."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def missing(self, model: str) -> int:
        async with self._database.transaction() as session:
            pair = await _pair(session, model)
            return await count_missing(session, *pair) if pair else 0

    async def page(self, model: str, part: Part, *, after: UUID, limit: int) -> tuple[list[Unshadowed], UUID | None]:
        """Give the next texts after an id, and the id to go on after; None when nothing is left."""
        async with self._database.transaction() as session:
            pair = await _pair(session, model)
            if pair is None:
                return [], None
            if part != "items":
                asked = missing_memories if part == "memories" else missing_facts
                told = await asked(session, *pair, after=after, limit=limit)
                return [Unshadowed(id_, said) for id_, said in told], told[-1][0] if told else None
            items = await missing_items(session, *pair, after=after, limit=limit)
            found = await _texts(session, items)
        return found, items[-1][0] if items else None

    async def keep(self, model: str, part: Part, vectors: Mapping[Unshadowed, Sequence[float]]) -> int:
        """Keep vectors of what still stands as it was; say how many those were."""
        async with self._database.transaction() as session:
            pair = await _pair(session, model)
            if pair is None or not vectors:
                return 0
            current, other = pair
            if part == "items":
                statement = _KEEP_ITEMS.format(current=current.table.name, other=other.table.name)
                return await _insert(session, statement, vectors)
            if part == "facts":
                return await _insert(session, _KEEP_FACTS, vectors, model=model)
            # The first memory ever may have come since the model was made ready.
            place = other.memory_table or await session.run_sync(memory_table, model, other.dimensions)
            free = await _free(session, vectors)
            statement = _KEEP_MEMORIES.format(current=current.memory_table, other=place)
            return await _insert(session, statement, {one: vectors[one] for one in vectors if one.id in free})

    async def prune(self, model: str) -> int:
        """Delete what the current model has no more."""
        async with self._database.transaction() as session:
            pair = await _pair(session, model)
            return await prune(session, *pair) if pair else 0


async def _pair(session: AsyncSession, model: str) -> tuple[VectorTable, VectorTable] | None:
    """Give the current model's tables and this one's, whose roles stay until the transaction ends; None if it is it."""
    written = await session.run_sync(written_tables)
    if written.current and written.current.model == model:
        return None
    others = [table for table in written.beside if table.model == model]
    if written.current is None or not others:
        raise InvalidInputError("model", "one that is written beside the current one; this one was dropped")
    return written.current, others[0]


async def _texts(session: AsyncSession, items: Sequence[tuple[UUID, str]]) -> list[Unshadowed]:
    """Give the texts as they were embedded, in the items' order; what is gone meanwhile is left out."""
    of = {kind: [id_ for id_, its in items if its == kind] for kind in ("message", "summary", "memory")}
    rows = await session.scalars(select(ArchivedRow).where(ArchivedRow.uid.in_(of["message"])))
    texts: dict[UUID, str | None] = {row.uid: embedding_text(archived_message(row), None) for row in rows}
    for columns, ids in (
        ((SummaryRow.id, SummaryRow.text), of["summary"]),
        ((MemoryVersionRow.id, MemoryVersionRow.content), of["memory"]),
    ):
        found = await session.execute(select(*columns).where(columns[0].in_(ids)))
        texts.update((id_, said) for id_, said in found)
    return [Unshadowed(id_, said) for id_, _ in items if (said := texts.get(id_))]


async def _free(session: AsyncSession, vectors: Mapping[Unshadowed, Sequence[float]]) -> set[UUID]:
    ids = [one.id for one in vectors]
    statement = text(_FREE).bindparams(bindparam("ids", type_=ARRAY(Uuid)), bindparam("keys", type_=ARRAY(BigInteger)))
    return set(await session.scalars(statement, {"ids": ids, "keys": [lock_key(id_) for id_ in ids]}))


async def _insert(session: AsyncSession, sql: str, vectors: Mapping[Unshadowed, Sequence[float]], **names: str) -> int:
    given: dict[str, Any] = {
        **names,
        "ids": [one.id for one in vectors],
        "vectors": [vector_text(vector) for vector in vectors.values()],
    }
    typed = [bindparam("ids", type_=ARRAY(Uuid)), bindparam("vectors", type_=ARRAY(Text))]
    if ":texts" in sql:
        given["texts"] = [one.text for one in vectors]
        typed.append(bindparam("texts", type_=ARRAY(Text)))
    return len((await session.execute(text(sql).bindparams(*typed), given)).all())
