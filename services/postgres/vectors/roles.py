"""Which embedding model is read and which are written: the database says it, to all processes alike.

Functions of a synchronous session, as `memory_writing` has them.
"""

from dataclasses import dataclass
from typing import Literal

from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from services.postgres.tables.vectors import EmbeddingModelRow
from services.postgres.vectors.tables import VectorTable, table_of

Role = Literal["current", "shadow", "former", "idle"]
# Whoever writes vectors holds it with the others, whoever changes a role holds it alone: what a writer was told is true
# until it commits.
_ROLES = 7302118449
# A change that does not get its turn at once gives way: writers queue behind it.
_PATIENCE = text("set local lock_timeout = '3s'")


@dataclass(frozen=True, slots=True)
class Written:
    """The models that a transaction writes: the `current` one always, those `beside` it where it has their vectors.

    What is left out beside is found by `Reembed`. Before a database's first vector there is no current model.
    """

    current: VectorTable | None
    beside: tuple[VectorTable, ...] = ()


def current_table(session: Session) -> VectorTable | None:
    """Give the tables that are read."""
    wanted = select(EmbeddingModelRow).where(EmbeddingModelRow.role == "current")
    row = session.scalars(wanted).one_or_none()
    return table_of(row) if row else None


def written_tables(session: Session) -> Written:
    """Give what must be written, and let nobody change that until the transaction ends.

    Call it before any other lock is taken: whoever holds one and waits here could be waited for.
    """
    session.execute(select(func.pg_advisory_xact_lock_shared(_ROLES)))
    return tables_written_now(session)


def tables_written_now(session: Session) -> Written:
    """Give what is written at this moment; another one may be by the time that something is."""
    rows = session.scalars(
        select(EmbeddingModelRow).where(EmbeddingModelRow.role != "idle").execution_options(populate_existing=True)
    ).all()
    current = [table_of(row) for row in rows if row.role == "current"]
    beside = tuple(table_of(row) for row in rows if row.role != "current")
    return Written(current[0] if current else None, beside)


def hold_roles(session: Session) -> dict[str, EmbeddingModelRow]:
    """Wait for all who write vectors, keep others from it until the transaction ends, and give the models by name."""
    session.execute(_PATIENCE)
    session.execute(select(func.pg_advisory_xact_lock(_ROLES)))
    rows = session.scalars(select(EmbeddingModelRow).execution_options(populate_existing=True))
    return {row.model: row for row in rows}
