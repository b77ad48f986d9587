"""Gives embedding models their roles: one is read, one more may be written beside it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from services.domain.errors import InvalidInputError
from services.postgres.database import Database
from services.postgres.tables.vectors import EmbeddingModelRow
from services.postgres.vectors.missing import count_missing
from services.postgres.vectors.roles import Role, hold_roles
from services.postgres.vectors.tables import make_table, memory_table, table_of

_FACTS = "select count(*) from section_vectors where model = :model"
_BESIDE = ("shadow", "former")


@dataclass(frozen=True, slots=True)
class ModelState:
    """A model in numbers; `vectors` are all that it has, Mem0's and those of facts among them."""

    model: str
    role: Role
    dimensions: int
    vectors: int
    missing: int
    created_at: datetime


class EmbeddingModels:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def states(self) -> list[ModelState]:
        """Tell of all models, the current one first; `missing` is what the current one has and this one has not."""
        async with self._database.transaction() as session:
            rows = (await session.scalars(select(EmbeddingModelRow).order_by(EmbeddingModelRow.role))).all()
            return [await _state(session, row, rows[0]) for row in rows]

    async def begin(self, model: str, dimensions: int) -> Role:
        """Let a model be written beside the current one, and say what it is now; a database's first is current at once.

        Raises `InvalidInputError` while another one stands beside the current model, or where this one answered
        another length before.
        """
        async with self._database.transaction() as session:
            known = await session.run_sync(hold_roles)
            _refuse(known, model, dimensions)
            current, row = _current(known), known.get(model)
            role = _role(row) if row else "idle"
            if role == "idle":
                # Nobody wrote an idle one meanwhile.
                await _drop(session, model)
                await make_table(session, model, dimensions)
                role = "shadow" if current else "current"
                await _give(session, model, role)
            if current and current.memory_table and role != "current":
                await session.run_sync(memory_table, model, dimensions)
            return role

    async def switch(self, model: str) -> int:
        """Read this model from now on, unless it misses vectors that the current one has: then say how many.

        The one that was read is the former one, and still written.
        """
        async with self._database.transaction() as session:
            known = await session.run_sync(hold_roles)
            current = _current(known)
            if current is None or current.model == model:
                return 0
            if model not in known or known[model].role not in _BESIDE:
                raise InvalidInputError("model", "one that was made ready")
            missing = await count_missing(session, table_of(current), table_of(known[model]))
            if missing == 0:
                await _give(session, model, "idle")
                await _give(session, current.model, "former")
                await _give(session, model, "current")
            return missing

    async def former(self) -> str | None:
        async with self._database.transaction() as session:
            wanted = select(EmbeddingModelRow.model).where(EmbeddingModelRow.role == "former")
            return (await session.scalars(wanted)).one_or_none()

    async def drop(self, model: str) -> None:
        """Write a model no more, and drop its vectors; raise `InvalidInputError` where it is the current one."""
        async with self._database.transaction() as session:
            known = await session.run_sync(hold_roles)
            if model not in known or known[model].role == "current":
                raise InvalidInputError("MODEL", "one of those beside the current one (`afterturn reembed --status`)")
            await _drop(session, model)


def _refuse(known: Mapping[str, EmbeddingModelRow], model: str, dimensions: int) -> None:
    its = known[model].role if model in known else "idle"
    others = [row.model for row in known.values() if row.role in _BESIDE]
    if others and its == "idle":
        raise InvalidInputError("model", f"{others[0]}, or another one after `afterturn reembed --drop {others[0]}`")
    if its != "idle" and known[model].dimensions != dimensions:
        held = known[model].dimensions
        raise InvalidInputError("model", f"one that answers {held} dimensions as before; this one answers {dimensions}")


def _current(known: Mapping[str, EmbeddingModelRow]) -> EmbeddingModelRow | None:
    return next((row for row in known.values() if row.role == "current"), None)


def _role(row: EmbeddingModelRow) -> Role:
    roles: dict[str, Role] = {"current": "current", "shadow": "shadow", "former": "former"}
    return roles.get(row.role, "idle")


async def _give(session: AsyncSession, model: str, role: Role) -> None:
    await session.execute(update(EmbeddingModelRow).where(EmbeddingModelRow.model == model).values(role=role))


async def _drop(session: AsyncSession, model: str) -> None:
    await _give(session, model, "idle")
    await session.execute(text("select afterturn_drop_model(:model)"), {"model": model})


async def _state(session: AsyncSession, row: EmbeddingModelRow, current: EmbeddingModelRow) -> ModelState:
    vectors = await session.scalar(select(func.count()).select_from(table_of(row).table)) or 0
    if row.memory_table:
        vectors += await session.scalar(text(f"select count(*) from {row.memory_table}")) or 0  # noqa: S608  ours
    missing = 0 if row.model == current.model else await count_missing(session, table_of(current), table_of(row))
    vectors += await session.scalar(text(_FACTS), {"model": row.model}) or 0
    return ModelState(row.model, _role(row), row.dimensions, vectors, missing, row.created_at)
