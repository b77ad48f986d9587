"""Keeps vectors, in a table for each embedding model."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Literal
from uuid import UUID

from pgvector.sqlalchemy import Vector
from sqlalchemy import Column, MetaData, Table, Text, Uuid, literal, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session

from services.domain.errors import ModelUnavailableError
from services.postgres.database import Database
from services.postgres.tables import EmbeddingModelRow

ItemKind = Literal["message", "summary", "memory"]
_NAME_CHARACTERS = 32


@dataclass(frozen=True, slots=True)
class Item:
    """Something that has a vector: a message by its uid, a summary by its id, or a memory by its version's.

    A memory is in no room.
    """

    id: UUID
    kind: ItemKind
    room_id: str | None = None


class Embeddings:
    """The vectors of one model."""

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
    dimensions = len(next(iter(vectors.values())))
    found = await make_table(session, model, dimensions)
    if found.dimensions != dimensions:
        raise _other_dimensions(model, dimensions, found)
    statement = insert(found.table)
    rows = [
        {"item_id": item.id, "kind": item.kind, "room_id": item.room_id, "embedding": list(vector)}
        for item, vector in vectors.items()
    ]
    await session.execute(
        statement.on_conflict_do_update(index_elements=["item_id"], set_={"embedding": statement.excluded.embedding}),
        rows,
    )


@dataclass(frozen=True, slots=True)
class VectorTable:
    """`memory_table` is the open-source Mem0's table of the same model, where it is used."""

    table: Table
    dimensions: int
    memory_table: str | None = None


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


def _find(session: Session, model: str) -> VectorTable | None:
    columns = (EmbeddingModelRow.table_name, EmbeddingModelRow.dimensions, EmbeddingModelRow.memory_table)
    row = session.execute(select(*columns).where(EmbeddingModelRow.model == model)).one_or_none()
    return VectorTable(_table(row.table_name, row.dimensions), row.dimensions, row.memory_table) if row else None


def _make(session: Session, model: str, dimensions: int) -> VectorTable:
    if found := _find(session, model):
        return found
    made = text("select afterturn_make_vectors(:model, :dimensions, :place)")
    place = _table_name("embeddings", model, dimensions)
    session.execute(made, {"model": model, "dimensions": dimensions, "place": place})
    return _find(session, model) or VectorTable(_table(place, dimensions), dimensions)


def _other_dimensions(model: str, dimensions: int, found: VectorTable) -> ModelUnavailableError:
    return ModelUnavailableError(f"{model} answers {dimensions} dimensions, its table holds {found.dimensions}")


def _table_name(prefix: str, model: str, dimensions: int) -> str:
    readable = re.sub(r"[^a-z0-9]+", "_", model.lower()).strip("_")[:_NAME_CHARACTERS]
    return f"{prefix}_{readable}_{dimensions}_{sha256(model.encode()).hexdigest()[:8]}"


def _table(name: str, dimensions: int) -> Table:
    return Table(
        name,
        MetaData(),
        Column("item_id", Uuid, primary_key=True),
        Column("kind", Text, nullable=False),
        Column("room_id", Text, index=True),
        Column("embedding", Vector(dimensions), nullable=False),
    )
