"""Tells which vectors one model has and another one has not: ours, Mem0's, and those of facts.

What was deleted meanwhile needs none; Mem0's is missing, too, where it is of another text.
"""

from uuid import UUID

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncSession

from services.postgres.vectors.tables import VectorTable

_STANDS = """case have.kind
  when 'message' then exists (select from messages as said where said.uid = have.item_id)
  when 'summary' then exists (select from summaries as told where told.id = have.item_id)
  else exists (select from memory_versions as version where version.id = have.item_id and version.content is not null)
end"""
_ITEMS = f"""
from {{current}} as have
where not exists (select from {{other}} as other where other.item_id = have.item_id) and {_STANDS}
"""
_MEMORIES = """
from {current} as have left join {other} as other on other.id = have.id
where have.payload ->> 'data' <> ''
  and (other.id is null or other.payload ->> 'data' is distinct from have.payload ->> 'data')
"""
_FACTS = """
from section_vectors as have
join section_values as fact on fact.id = have.value_id and fact.version = have.version and fact.body is not null
where have.model = :current and not exists (
  select from section_vectors as other
  where other.value_id = have.value_id and other.version = have.version and other.model = :other
)
"""
_NO_MEMORIES = "(select null::uuid as id, null::jsonb as payload where false)"
_PAGE = " and have.{id} > :after order by have.{id} limit :limit"


async def count_missing(session: AsyncSession, current: VectorTable, other: VectorTable) -> int:
    found: int = await session.scalar(text("select count(*)" + _fill(_ITEMS, current, other))) or 0
    if current.memory_table:
        found += await session.scalar(text("select count(*)" + _fill_memories(current, other))) or 0
    facts = text("select count(*)" + _FACTS)
    return found + (await session.scalar(facts, {"current": current.model, "other": other.model}) or 0)


async def missing_items(
    session: AsyncSession, current: VectorTable, other: VectorTable, *, after: UUID, limit: int
) -> list[tuple[UUID, str]]:
    """Give the next items, in the order of their ids, each with its kind."""
    page = "select have.item_id, have.kind" + _fill(_ITEMS, current, other) + _PAGE.format(id="item_id")
    rows = await session.execute(text(page), {"after": after, "limit": limit})
    return [(row.item_id, row.kind) for row in rows]


async def missing_memories(
    session: AsyncSession, current: VectorTable, other: VectorTable, *, after: UUID, limit: int
) -> list[tuple[UUID, str]]:
    """Give the next of Mem0's memories, in the order of their ids, each with its text."""
    if current.memory_table is None:
        return []
    page = "select have.id, have.payload ->> 'data' as data" + _fill_memories(current, other) + _PAGE.format(id="id")
    rows = await session.execute(text(page), {"after": after, "limit": limit})
    return [(row.id, row.data) for row in rows]


async def missing_facts(
    session: AsyncSession, current: VectorTable, other: VectorTable, *, after: UUID, limit: int
) -> list[tuple[UUID, str]]:
    """Give the next facts, in the order of their ids, each with what is embedded of it."""
    page = text("select fact.id, fact.body" + _FACTS + " and fact.id > :after order by fact.id limit :limit")
    models = {"current": current.model, "other": other.model}
    rows = await session.execute(page, {**models, "after": after, "limit": limit})
    return [(row.id, row.body) for row in rows]


async def prune(session: AsyncSession, current: VectorTable, other: VectorTable) -> int:
    """Delete what the other model has and the current one has no more."""
    tables = [(current.table.name, other.table.name, "item_id")]
    if current.memory_table and other.memory_table:
        tables.append((current.memory_table, other.memory_table, "id"))
    gone: list[Row[tuple[int]]] = []
    for have, place, id_ in tables:
        statement = (
            f"delete from {place} as other where not exists "  # noqa: S608  names of ours
            f"(select from {have} as have where have.{id_} = other.{id_}) returning 1"
        )
        gone += (await session.execute(text(statement))).all()
    return len(gone)


def _fill(sql: str, current: VectorTable, other: VectorTable) -> str:
    return sql.format(current=current.table.name, other=other.table.name)


def _fill_memories(current: VectorTable, other: VectorTable) -> str:
    return _MEMORIES.format(current=current.memory_table, other=other.memory_table or _NO_MEMORIES)
