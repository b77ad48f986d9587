"""Memories of many owners at once, put in by SQL: what matters is how many there are."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from uuid import UUID

import asyncpg

from services.domain.memories import Owner, owner_of

SOMEBODY = Owner("user", owner_of("user", "somebody").id)

_OWNERS = """
insert into profiles (id, external_id)
select case owner when 0 then $2::uuid else gen_random_uuid() end, 'owner-' || owner
from generate_series(0, $1 - 1) as owner
"""
# Words as they are in any text: some in every tenth memory, most in hardly any.
_VERSIONS = """
insert into memory_versions
    (id, brain_id, user_id, slug, kind, content, language, asserted_at, repeats, is_current, made_by)
select gen_random_uuid(), gen_random_uuid(), p.id, 'fact-' || number,
       (array['episodic', 'semantic', 'procedural'])[1 + number % 3],
       (
           select string_agg('word' || floor(power(random(), 3) * 3000)::int, ' ' order by word)
           from generate_series(1, 12 + number % 9) as word
       ),
       'english', timestamptz '2016-03-02' - number * interval '1 hour', false, true, 'caller'
from profiles as p, generate_series(1, $1) as number
"""
_POOL = """
create temporary table pool as
select number, (select array_agg(random() - 0.5 + number * 0 order by part) from generate_series(1, $1) as part)::vector
           as vector
from generate_series(0, $2 - 1) as number
"""
_VECTORS = """
insert into {memories} (id, vector, payload)
select v.brain_id, pool.vector, jsonb_build_object('owner_type', 'user', 'owner_id', v.user_id, 'slug', v.slug)
from (select *, row_number() over () as place from memory_versions) as v
join pool on pool.number = v.place % $1
"""


async def fill(url: str, model: str, *, owners: int, each: int, dimensions: int, vectors: int) -> None:
    """Give `SOMEBODY` and others `each` memories with vectors out of a pool of so many random ones."""
    connection = await asyncpg.connect(url)
    try:
        await connection.execute("select setseed(0.5)")
        await connection.execute(_OWNERS, owners, SOMEBODY.id)
        await connection.execute(_VERSIONS, each)
        await connection.execute("select afterturn_make_vectors($1, $2, 'embeddings_many')", model, dimensions)
        await connection.execute("select afterturn_make_memories($1, 'mem0_many')", model)
        await connection.execute(_POOL, dimensions, vectors)
        await connection.execute(_VECTORS.format(memories="mem0_many"), vectors)
        await connection.execute("analyze")
    finally:
        await connection.close()


@dataclass(frozen=True)
class Plain:
    """A connection of its own, which no policy holds."""

    connection: asyncpg.Connection

    async def nearest(self, owner: UUID, vector: list[float], limit: int) -> list[str]:
        """Give the slugs of an owner's memories that an exact scan finds nearest."""
        rows = await self.connection.fetch(
            "select v.slug from memory_versions as v join mem0_many as m on m.id = v.brain_id "
            "where v.user_id = $1 order by m.vector <=> (select $2::text::vector) limit $3",
            owner,
            str(vector),
            limit,
        )
        return [row["slug"] for row in rows]


@asynccontextmanager
async def plainly(url: str) -> AsyncIterator[Plain]:
    connection = await asyncpg.connect(url)
    try:
        yield Plain(connection)
    finally:
        await connection.close()
