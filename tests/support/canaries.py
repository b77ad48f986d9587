"""Looks for a text everywhere that something is kept, and for what is kept of others."""

import json
from collections.abc import Iterable
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.resources import Resources

_TEXTS = ("text", "jsonb", "json", "bytea", "character varying", "ARRAY", "tsvector", "uuid")


async def in_redis(resources: Resources, canary: str) -> list[str]:
    """Give the keys that hold it, or are named so."""
    found = []
    async for key in resources.redis.scan_iter():
        dumped = [key, await _value(resources, key)]
        if any(canary.encode() in one for one in dumped):
            found.append(repr(key))
    return found


async def _value(resources: Resources, key: bytes) -> bytes:
    redis: Any = resources.redis
    match (await redis.type(key)).decode():
        case "list":
            return b"\n".join(await redis.lrange(key, 0, -1))
        case "string":
            return bytes(await redis.get(key) or b"")
        case "hash":
            return repr(await redis.hgetall(key)).encode()
        case "zset":
            return repr(await redis.zrange(key, 0, -1)).encode()
        case "set":
            return repr(await redis.smembers(key)).encode()
        case _:
            return b""


async def in_postgres(resources: Resources, canaries: Iterable[str]) -> list[str]:
    """Give each column of any table that holds one of them."""
    found = []
    async with resources.database.transaction() as session:
        for table, column, kind in await _columns(session):
            shown = f"encode({column}, 'escape')" if kind == "bytea" else f"{column}::text"
            for canary in canaries:
                asked = text(f"select count(*) from {table} where {shown} like :canary")  # noqa: S608
                if number := await session.scalar(asked, {"canary": f"%{canary}%"}):
                    found.append(f"{table}.{column}: {number}")
    return found


async def vectors_of(resources: Resources, items: Iterable[UUID]) -> int:
    """Count the vectors of these items, in the tables of every model."""
    async with resources.database.transaction() as session:
        places = list(await session.scalars(text("select table_name from embedding_models")))
        counted = 0
        for place in places:
            asked = text(f"select count(*) from {place} where item_id = any(:ids)")  # noqa: S608
            counted += await session.scalar(asked, {"ids": list(items)}) or 0
    return counted


async def everything(resources: Resources, *, leaving_out: Iterable[str]) -> dict[str, list[str]]:
    """Give every row of every table as text, but for the tables that are left out."""
    found = {}
    async with resources.database.transaction() as session:
        for table in sorted({table for table, _, _ in await _columns(session)} - set(leaving_out)):
            rows = await session.scalars(text(f"select to_jsonb({table})::text from {table}"))  # noqa: S608
            found[table] = sorted(rows)
    return found


async def _columns(session: AsyncSession) -> list[tuple[str, str, str]]:
    rows = await session.execute(
        text(
            "select table_name, column_name, data_type from information_schema.columns "
            "join information_schema.tables using (table_schema, table_name) "
            "where table_schema = 'public' and table_type = 'BASE TABLE' and data_type = any(:kinds)"
        ),
        {"kinds": list(_TEXTS)},
    )
    return [(row.table_name, row.column_name, row.data_type) for row in rows]


async def in_temporal(resources: Resources, canary: str) -> list[str]:
    """Give the runs whose history or description holds it."""
    found = []
    async for run in resources.temporal.list_workflows():
        handle = resources.temporal.get_workflow_handle(run.id, run_id=run.run_id)
        told = (await handle.fetch_history()).to_json() + str(await handle.describe())
        if canary in told or canary in json.dumps(run.search_attributes, default=str):
            found.append(run.id)
    return found
