"""Tells how near two memories lie to each other, by the vectors that are there."""

from uuid import UUID

from sqlalchemy import TextClause, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from services.domain.duplicates import Duplicate
from services.postgres.tables.vectors import EmbeddingModelRow


async def similarity_of(session: AsyncSession, pair: Duplicate) -> float | None:
    """Give how near their vectors are, by the model that finds them farthest apart; None without vectors of both."""
    models = (await session.execute(select(EmbeddingModelRow.table_name, EmbeddingModelRow.memory_table))).all()
    found = [await session.scalar(_near(vectors, memories), _ids(pair)) for vectors, memories in models]
    known = [one for one in found if one is not None]
    return min(known, default=None)


def _near(vectors: str, memories: str | None) -> TextClause:
    """Compare what stands in Mem0's table, else in ours; the tables' names are ours."""
    ours = "(select embedding from {vectors} where item_id = :{side}_version)"
    either = f"coalesce((select vector from {{memories}} where id = :{{side}}_brain), {ours})" if memories else ours  # noqa: S608
    named = either.replace("{vectors}", vectors).replace("{memories}", memories or "")
    both = "select 1 - ({kept} <=> {ended})"
    for side in ("kept", "ended"):
        both = both.replace(f"{{{side}}}", named.replace("{side}", side))
    return text(both)


def _ids(pair: Duplicate) -> dict[str, UUID]:
    return {
        "kept_version": pair.kept.version_id,
        "ended_version": pair.ended.version_id,
        "kept_brain": pair.kept.brain_id,
        "ended_brain": pair.ended.brain_id,
    }
