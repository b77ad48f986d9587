"""Keeps vectors, in a table for each embedding model."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Literal
from uuid import UUID

from pgvector.sqlalchemy import Vector
from sqlalchemy import Column, MetaData, Table, Text, Uuid, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from services.domain.errors import ModelUnavailableError
from services.postgres.database import Database
from services.postgres.tables import EmbeddingModelRow

ItemKind = Literal["message", "summary"]
_CREATE_LOCK = 7_302_118_445
_NAME_CHARACTERS = 32


@dataclass(frozen=True, slots=True)
class Item:
    """Something that has a vector: a message by its uid, or a summary by its id."""

    id: UUID
    kind: ItemKind
    room_id: str


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
        dimensions = len(next(iter(vectors.values())))
        async with self._database.transaction() as session:
            found = await find_table(session, self._model) or await _create_table(session, self._model, dimensions)
            if found.dimensions != dimensions:
                raise ModelUnavailableError(
                    f"{self._model} answers {dimensions} dimensions, its table holds {found.dimensions}"
                )
            table = found.table
            statement = insert(table)
            rows = [
                {"item_id": item.id, "kind": item.kind, "room_id": item.room_id, "embedding": list(vector)}
                for item, vector in vectors.items()
            ]
            await session.execute(
                statement.on_conflict_do_update(
                    index_elements=["item_id"], set_={"embedding": statement.excluded.embedding}
                ),
                rows,
            )


@dataclass(frozen=True, slots=True)
class VectorTable:
    table: Table
    dimensions: int


async def find_table(session: AsyncSession, model: str) -> VectorTable | None:
    row = await session.get(EmbeddingModelRow, model)
    return VectorTable(_table(row.table_name, row.dimensions), row.dimensions) if row else None


async def _create_table(session: AsyncSession, model: str, dimensions: int) -> VectorTable:
    """Make the model's table at its first vector; two that come first at once make one."""
    await session.execute(text("select pg_advisory_xact_lock(:key)"), {"key": _CREATE_LOCK})
    session.expire_all()
    if existing := await find_table(session, model):
        return existing
    table = _table(_table_name(model, dimensions), dimensions)
    connection = await session.connection()
    await connection.run_sync(table.create)
    session.add(EmbeddingModelRow(model=model, dimensions=dimensions, table_name=table.name))
    await session.flush()
    return VectorTable(table, dimensions)


def _table_name(model: str, dimensions: int) -> str:
    readable = re.sub(r"[^a-z0-9]+", "_", model.lower()).strip("_")[:_NAME_CHARACTERS]
    return f"embeddings_{readable}_{dimensions}_{sha256(model.encode()).hexdigest()[:8]}"


def _table(name: str, dimensions: int) -> Table:
    return Table(
        name,
        MetaData(),
        Column("item_id", Uuid, primary_key=True),
        Column("kind", Text, nullable=False),
        Column("room_id", Text, nullable=False, index=True),
        Column("embedding", Vector(dimensions), nullable=False),
    )
