"""Keeps vectors, in a table for each embedding model."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import (
    Column,
    ColumnElement,
    MetaData,
    Table,
    Text,
    Uuid,
    any_,
    bindparam,
    literal,
    select,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute, Session

from services.domain.errors import ModelUnavailableError
from services.postgres.database import Database
from services.postgres.tables.archive import ArchivedRow, SummaryRow
from services.postgres.tables.forgetting import ForgottenMessageRow
from services.postgres.tables.memories import MemoryVersionRow
from services.postgres.tables.vectors import EmbeddingModelRow
from services.postgres.vector_type import Vector, vector_text

ItemKind = Literal["message", "summary", "memory"]
_NAME_CHARACTERS = 32
_KEEP = """
insert into {table} (item_id, kind, room_id, embedding)
select given.id, given.kind, given.room_id, cast(given.vector as vector)
from unnest(:ids, :kinds, :rooms, :vectors) as given (id, kind, room_id, vector)
on conflict (item_id) do update set embedding = excluded.embedding
"""
_KEEP_TYPES = (
    bindparam("ids", type_=ARRAY(Uuid)),
    bindparam("kinds", type_=ARRAY(Text)),
    bindparam("rooms", type_=ARRAY(Text)),
    bindparam("vectors", type_=ARRAY(Text)),
)
_BE_THE_FIRST = text(
    "update embedding_models set role = 'current' "
    "where model = :model and not exists (select from embedding_models where role = 'current')"
)


@dataclass(frozen=True, slots=True)
class Item:
    """Something that has a vector: a message by its uid, a summary by its id, or a memory by its version's.

    A memory is in no room.
    """

    id: UUID
    kind: ItemKind
    room_id: str | None = None


@dataclass(frozen=True, slots=True)
class VectorTable:
    """`memory_table` is the open-source Mem0's table of the same model, where it is used."""

    model: str
    table: Table
    dimensions: int
    memory_table: str | None = None

    def fits(self, vectors: Mapping[Any, Sequence[float]]) -> bool:
        """Tell whether these have the length of its own."""
        return all(len(vector) == self.dimensions for vector in vectors.values())

    def check(self, vectors: Mapping[Any, Sequence[float]]) -> None:
        """Raise `ModelUnavailableError` where they have not."""
        if not self.fits(vectors):
            other = next(len(vector) for vector in vectors.values() if len(vector) != self.dimensions)
            raise _other_dimensions(self.model, other, self)


class Embeddings:
    """The vectors of one model, whichever is current."""

    def __init__(self, database: Database, model: str) -> None:
        self._database = database
        self._model = model

    async def missing(self, items: Sequence[Item]) -> list[Item]:
        """Give the items that have no vector yet, in their order."""
        async with self._database.transaction() as session:
            vectors = await find_table(session, self._model)
            if vectors is None:
                return list(items)
            table = vectors.table
            found = await session.scalars(select(table.c.item_id).where(table.c.item_id.in_([i.id for i in items])))
            have = set(found)
        return [item for item in items if item.id not in have]

    async def save(self, vectors: Mapping[Item, Sequence[float]]) -> None:
        """Keep vectors; one that is already there is replaced, for its text may have changed."""
        if not vectors:
            return
        async with self._database.transaction() as session:
            await keep(session, self._model, vectors)


async def keep(session: AsyncSession, model: str, vectors: Mapping[Item, Sequence[float]]) -> None:
    """Keep a model's vectors in the transaction that is open; all of them have one length."""
    found = await make_table(session, model, len(next(iter(vectors.values()))))
    await keep_in(session, found, vectors)


async def keep_in(session: AsyncSession, place: VectorTable, vectors: Mapping[Item, Sequence[float]]) -> None:
    """Keep them in one table, all of them or none; what was forgotten or taken back while it was embedded gets none.

    Raises `ModelUnavailableError` where one has another length than the table's.
    """
    place.check(vectors)
    standing = await _standing(session, vectors)
    items = [item for item in vectors if item.id in standing]
    if not items:
        return
    given = {
        "ids": [item.id for item in items],
        "kinds": [item.kind for item in items],
        "rooms": [item.room_id for item in items],
        "vectors": [vector_text(vectors[item]) for item in items],
    }
    await session.execute(text(_KEEP.format(table=place.table.name)).bindparams(*_KEEP_TYPES), given)


async def _standing(session: AsyncSession, items: Iterable[Item]) -> set[UUID]:
    """Give those that still stand, and hold them until the transaction ends."""
    ids = {kind: sorted(item.id for item in items if item.kind == kind) for kind in ("message", "summary", "memory")}
    await _held(session, ArchivedRow.uid, ids["message"])
    gone = select(ForgottenMessageRow.uid).where(among(ForgottenMessageRow.uid, ids["message"]))
    messages = set(ids["message"]) - set(await session.scalars(gone) if ids["message"] else ())
    summaries = await _held(session, SummaryRow.id, ids["summary"])
    return messages | summaries | await _held(session, MemoryVersionRow.id, ids["memory"])


async def _held(session: AsyncSession, column: InstrumentedAttribute[UUID], ids: Sequence[UUID]) -> set[UUID]:
    held = select(column).where(among(column, ids)).order_by(column).with_for_update(key_share=True, read=True)
    return set(await session.scalars(held)) if ids else set()


def among(column: ColumnElement[UUID] | InstrumentedAttribute[UUID], ids: Sequence[UUID]) -> ColumnElement[bool]:
    """Ask by one statement however many they are: it is prepared once."""
    return column == any_(literal(list(ids), ARRAY(Uuid)))


async def vector_tables(session: AsyncSession) -> list[Table]:
    """Give the tables of every model, whether it is read, written or neither; the current one first.

    Whoever deletes begins there: what is brought to another model is held in the current one meanwhile.
    """
    columns = (EmbeddingModelRow.table_name, EmbeddingModelRow.dimensions)
    rows = await session.execute(select(*columns).order_by(EmbeddingModelRow.role))
    return [_table(row.table_name, row.dimensions) for row in rows]


async def find_table(session: AsyncSession, model: str) -> VectorTable | None:
    return await session.run_sync(_find, model)


async def make_table(session: AsyncSession, model: str, dimensions: int) -> VectorTable:
    """Find the model's table, or make it at its first vector; two that come first at once make one."""
    return await session.run_sync(_make, model, dimensions)


def memory_table(session: Session, model: str, dimensions: int) -> str:
    """Name the table that the open-source Mem0 keeps this model's memories in; make it at first use, as the system."""
    found = _make(session, model, dimensions)
    if found.dimensions != dimensions:
        raise _other_dimensions(model, dimensions, found)
    if found.memory_table is None:
        made = text("select afterturn_make_memories(:model, :place)")
        session.execute(made, {"model": model, "place": _table_name("mem0", model, dimensions)})
        found = _find(session, model) or found
    return str(found.memory_table)


def copy_vectors(session: Session, source: UUID, target: UUID) -> None:
    """Give an item the vectors of another one with the same text, of every model; what it has already stays."""
    models = session.execute(select(EmbeddingModelRow.table_name, EmbeddingModelRow.dimensions)).all()
    for name, dimensions in models:
        table = _table(name, dimensions)
        copied = select(literal(target, Uuid), table.c.kind, table.c.room_id, table.c.embedding)
        session.execute(
            insert(table).from_select(table.c.keys(), copied.where(table.c.item_id == source)).on_conflict_do_nothing()
        )


def table_of(row: EmbeddingModelRow) -> VectorTable:
    return VectorTable(row.model, _table(row.table_name, row.dimensions), row.dimensions, row.memory_table)


def _find(session: Session, model: str) -> VectorTable | None:
    wanted = select(EmbeddingModelRow).where(EmbeddingModelRow.model == model)
    row = session.scalars(wanted.execution_options(populate_existing=True)).one_or_none()
    return table_of(row) if row else None


def _make(session: Session, model: str, dimensions: int) -> VectorTable:
    """Make its table, one after the other; a database's first model is its current one."""
    if found := _find(session, model):
        return found
    made = text("select afterturn_make_vectors(:model, :dimensions, :place)")
    place = _table_name("embeddings", model, dimensions)
    session.execute(made, {"model": model, "dimensions": dimensions, "place": place})
    session.execute(_BE_THE_FIRST, {"model": model})
    return _find(session, model) or VectorTable(model, _table(place, dimensions), dimensions)


def _other_dimensions(model: str, dimensions: int, found: VectorTable) -> ModelUnavailableError:
    return ModelUnavailableError(f"{model} answers {dimensions} dimensions, its table holds {found.dimensions}")


def _table_name(prefix: str, model: str, dimensions: int) -> str:
    readable = re.sub(r"[^a-z0-9]+", "_", model.lower()).strip("_")[:_NAME_CHARACTERS]
    return f"{prefix}_{readable}_{dimensions}_{sha256(model.encode()).hexdigest()[:8]}"


@lru_cache(maxsize=64)
def _table(name: str, dimensions: int) -> Table:
    """Give always the same: of another one SQLAlchemy compiles every statement anew."""
    return Table(
        name,
        MetaData(),
        Column("item_id", Uuid, primary_key=True),
        Column("kind", Text, nullable=False),
        Column("room_id", Text, index=True),
        Column("embedding", Vector(dimensions), nullable=False),
    )
