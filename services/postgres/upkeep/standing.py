"""What waits to be done, in numbers."""

from dataclasses import dataclass

from sqlalchemy import text

from services.postgres.database import Database

# What is archived waits as messages until a chunk covers it, and then as that chunk.
_STANDING = text("""
    with uncut as (
        select said.archived_at, rooms.last_seq - rooms.chunked_seq as messages
        from rooms, lateral (
            select archived_at from messages
            where room_id = rooms.id and seq > rooms.chunked_seq order by seq limit 1
        ) said
        where rooms.chunked_seq < rooms.last_seq
    ), waiting as (
        select count(*) as chunks, min(created_at) as since from chunks where state in ('waiting', 'extracted')
    )
    select
        waiting.chunks,
        (select coalesce(sum(messages), 0)::bigint from uncut),
        coalesce(extract(epoch from now() - least(waiting.since, (select min(archived_at) from uncut))), 0)::float8,
        (select count(*) from quarantine where state = 'open')
    from waiting
""")


@dataclass(frozen=True, slots=True)
class Standing:
    """`waiting_messages` are those that no chunk covers yet."""

    waiting_chunks: int
    waiting_messages: int
    oldest_waiting_seconds: float
    quarantined: int


class StandingWork:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def count(self) -> Standing:
        async with self._database.transaction() as session:
            return Standing(*(await session.execute(_STANDING)).one())
