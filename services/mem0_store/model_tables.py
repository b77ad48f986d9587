"""The vectors of one embedding model, as one transaction sees them: Mem0's of what stands, ours of what is past."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self
from uuid import UUID

from psycopg import Connection
from sqlalchemy import Subquery, TableClause, Text, Uuid, cast, column, false, literal, null, select, table
from sqlalchemy.dialects.postgresql import JSONB, insert
from sqlalchemy.orm import Session

from services.domain.errors import ModelUnavailableError
from services.postgres.tables.memories import MemoryVersionRow
from services.postgres.vector_type import Vector, vector_text
from services.postgres.vectors.roles import current_table, written_tables
from services.postgres.vectors.tables import VectorTable

if TYPE_CHECKING:
    from services.mem0_store.vectors import Mem0Table


@dataclass(frozen=True)
class ModelTables:
    """Reads both tables, and has Mem0 write its own."""

    session: Session
    model: str
    dimensions: int
    embeddings: str
    memories: str

    @classmethod
    def current(cls, session: Session) -> Self | None:
        """Give the tables that are read; None before the first memory."""
        found = current_table(session)
        return cls.of(session, found) if found else None

    @classmethod
    def of(cls, session: Session, found: VectorTable) -> Self | None:
        if found.memory_table is None:
            return None
        return cls(session, found.model, found.dimensions, found.table.name, found.memory_table)

    def check(self, vector: Sequence[float]) -> None:
        if len(vector) != self.dimensions:
            told = f"the model answers {len(vector)} dimensions, its tables hold {self.dimensions}"
            raise ModelUnavailableError(told)

    def payload(self, brain: UUID) -> dict[str, Any] | None:
        found = self.mem0.get(vector_id=str(brain))
        return None if found is None else found.payload or {}

    def insert(self, brain: UUID, vector: Sequence[float], payload: Mapping[str, Any]) -> None:
        self.insert_many([(brain, vector, payload)])

    def insert_many(self, rows: Sequence[tuple[UUID, Sequence[float], Mapping[str, Any]]]) -> None:
        """Insert vectors with their payloads, all in one go."""
        if rows:
            # Texts, which Mem0 passes on as they are: for a list psycopg takes many times as long.
            self.mem0.insert(
                vectors=[vector_text(vector) for _, vector, _ in rows],
                payloads=[dict(payload) for _, _, payload in rows],
                ids=[str(brain) for brain, _, _ in rows],
            )

    def holds(self, brains: Sequence[UUID]) -> set[UUID]:
        """Give those of these memories that Mem0 holds."""
        mem0 = _memories(self.memories)
        return set(self.session.scalars(select(mem0.c.id).where(mem0.c.id.in_(brains))))

    def update(self, brain: UUID, vector: Sequence[float] | None, payload: Mapping[str, Any]) -> None:
        """Without a vector the one that stands is kept."""
        self.mem0.update(str(brain), vector=None if vector is None else vector_text(vector), payload=dict(payload))

    def delete(self, brain: UUID) -> None:
        self.mem0.delete(vector_id=str(brain))

    def keep_past(self, brain: UUID, version: UUID) -> None:
        """Keep the vector that Mem0 holds for the version that it is of: what is past can be searched, too."""
        mem0, past = _memories(self.memories), MemoryVersionRow
        held = select(past.id, literal("memory"), mem0.c.vector).where(
            past.id == version, mem0.c.id == brain, mem0.c.payload["data"].astext == past.content
        )
        ours = _embeddings(self.embeddings)
        names = ["item_id", "kind", "embedding"]
        self.session.execute(insert(ours).from_select(names, held).on_conflict_do_nothing())

    def keep(self, version: UUID, vector: Sequence[float]) -> None:
        row = {"item_id": version, "kind": "memory", "embedding": list(vector)}
        self.session.execute(insert(_embeddings(self.embeddings)).values(row).on_conflict_do_nothing())

    def keeps(self, version: UUID) -> bool:
        item = _embeddings(self.embeddings).c.item_id
        return self.session.execute(select(item).where(item == version)).one_or_none() is not None

    @cached_property
    def mem0(self) -> "Mem0Table":
        """Mem0's own view of its table, over this transaction's connection."""
        from services.mem0_store.vectors import mem0_table  # noqa: PLC0415  importing Mem0 takes seconds

        driver = self.session.connection().connection.driver_connection
        if not isinstance(driver, Connection):
            raise TypeError("Mem0 writes through psycopg")
        return mem0_table(self.memories, self.dimensions, driver)


@dataclass(frozen=True, slots=True)
class WrittenModels:
    """The models that a memory is written to: `model` is the current one, None in a database without a vector.

    `tables` are its own, None before its first memory. Those `beside` it are written as far as their vectors are given.
    """

    model: str | None
    tables: ModelTables | None
    beside: tuple[ModelTables, ...] = ()

    @classmethod
    def find(cls, session: Session) -> Self:
        """Find them, and let nobody change them until the transaction ends; call it before any other lock is taken."""
        written = written_tables(session)
        if written.current is None:
            return cls(None, None)
        beside = (ModelTables.of(session, found) for found in written.beside)
        return cls(
            written.current.model,
            ModelTables.of(session, written.current),
            tuple(tables for tables in beside if tables),
        )


def memories_of(tables: ModelTables | None) -> Subquery:
    """Give Mem0's ids and payloads; nothing where it has no table yet."""
    if tables is None:
        nothing = select(cast(null(), Uuid).label("id"), cast(null(), JSONB).label("payload"))
        return nothing.where(false()).subquery()
    mem0 = _memories(tables.memories)
    return select(mem0.c.id, mem0.c.payload).subquery()


def _memories(name: str) -> TableClause:
    return table(name, column("id", Uuid), column("vector", Vector), column("payload", JSONB))


def _embeddings(name: str) -> TableClause:
    return table(name, column("item_id", Uuid), column("kind", Text), column("embedding", Vector))
