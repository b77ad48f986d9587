"""Reads every vector in a scope: what search is held against."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Row, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from services.domain.memories import Owner
from services.domain.transcripts import embedding_text
from services.postgres.archive.messages import archived_message
from services.postgres.database import Database
from services.postgres.tables.archive import ArchivedRow
from services.postgres.vector_type import vector_text
from services.postgres.vectors.tables import VectorTable, find_table

# Materialised, so that no index of nearest neighbours is asked, whoever may have made one.
_IN_ROOM = """
with near as materialized (
    select cast(item_id as text) as id,
           nullif(1 - (embedding <=> cast(:vector as vector)), 'NaN') as similarity
    from {vectors} where room_id = :room_id and kind = 'message'
)
"""
_OF_OWNER = """
with near as materialized (
    select cast(version.id as text) as id,
           nullif(1 - (coalesce(known.vector, own.embedding) <=> cast(:vector as vector)), 'NaN') as similarity
    from memory_versions as version
    left join {memories} as known on known.id = version.brain_id
    left join {vectors} as own on own.item_id = version.id
    where version.is_current and version.content is not null and version.{owner}_id = :owner_id
)
"""
_OWN = "select similarity from near where id = :id"
# What is no nearer than the usual is near to nothing.
_FIRST = """
select id from near where similarity > (select avg(similarity) from near) + 1e-9
order by similarity desc limit :limit
"""
_SAME = 0.98
_NO_MEMORIES = "(select null::uuid as id, null::vector as vector where false)"


@dataclass(frozen=True, slots=True)
class Probe:
    """A stored text: a message by its uid, in its room, or a memory by its version's id, among its owner's."""

    id: UUID
    text: str
    room_id: str | None = None
    owner: Owner | None = None


class ExactScan:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def probes(self, model: str, limit: int) -> list[Probe]:
        """Draw some of the messages that the model has vectors of, and some memories."""
        async with self._database.transaction() as session:
            place = await find_table(session, model)
            return [*await _messages(session, place, limit), *await _memories(session, limit)] if place else []

    async def holds(self, model: str, probe: Probe, vector: Sequence[float]) -> bool | None:
        """Tell whether the text's own vector is this one; None where it has none."""
        async with self._database.transaction() as session:
            rows = await _scan(session, model, probe, vector, _OWN, {"id": str(probe.id)})
        return rows[0].similarity >= _SAME if rows and rows[0].similarity is not None else None

    async def nearest(self, model: str, probe: Probe, vector: Sequence[float], *, limit: int) -> set[str]:
        """Give the ids nearest to a vector where the text stands; a text alone there is near to nothing."""
        async with self._database.transaction() as session:
            rows = await _scan(session, model, probe, vector, _FIRST, {"limit": limit})
        return {row.id for row in rows}


async def _scan(
    session: AsyncSession, model: str, probe: Probe, vector: Sequence[float], then: str, given: dict[str, Any]
) -> Sequence[Row[Any]]:
    place = await find_table(session, model)
    if place is None:
        return []
    if probe.owner:
        given |= {"owner_id": probe.owner.id}
        near = _OF_OWNER.replace("{owner}", probe.owner.type).replace("{memories}", place.memory_table or _NO_MEMORIES)
    else:
        given |= {"room_id": probe.room_id}
        near = _IN_ROOM
    statement = near.replace("{vectors}", place.table.name) + then
    return (await session.execute(text(statement), given | {"vector": vector_text(vector)})).all()


async def _messages(session: AsyncSession, place: VectorTable, limit: int) -> list[Probe]:
    drawn = text(
        f"select item_id from {place.table.name} where kind = 'message' order by random() limit :limit"  # noqa: S608
    )
    ids = list(await session.scalars(drawn, {"limit": limit}))
    rows = await session.scalars(select(ArchivedRow).where(ArchivedRow.uid.in_(ids)))
    return [Probe(row.uid, embedding_text(archived_message(row), None), room_id=row.room_id) for row in rows]


async def _memories(session: AsyncSession, limit: int) -> list[Probe]:
    drawn = text(
        "select id, content, user_id, company_id from memory_versions "
        "where is_current and content is not null order by random() limit :limit"
    )
    return [
        Probe(row.id, row.content, owner=Owner("user" if row.user_id else "company", row.user_id or row.company_id))
        for row in await session.execute(drawn, {"limit": limit})
    ]
