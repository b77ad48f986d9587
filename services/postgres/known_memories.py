"""What is known already of the people in a room and of its company, for whoever looks for new memories in it."""

from collections.abc import Collection, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Row, Uuid, bindparam, func, select, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncSession

from services.domain.extraction.known import KnownMemory
from services.domain.extraction.owners import Rights
from services.domain.memories import Owner, owner_of
from services.postgres.database import Database
from services.postgres.embeddings import VectorTable, find_table
from services.postgres.tables import CompanyMember, Room

SPEAK_FOR_THE_COMPANY = ("owner", "admin")

# Exact: an owner's memories are few enough to compare each with each of the chunk's messages. A memory whose vector is
# not there yet comes last. The open-source Mem0 keeps the vectors of what stands in its own table.
_NEAREST = """
with asked as materialized (select embedding from {vectors} where item_id = any(:messages))
select known.slug, known.kind, known.content, coalesce(known.user_id, known.company_id) as owner_id,
       (select min(coalesce(mem0.vector, own.embedding) <=> asked.embedding) from asked) as distance
from memory_versions as known
left join {memories} as mem0 on mem0.id = known.brain_id
left join {vectors} as own on own.item_id = known.id
where known.is_current and known.content is not null
  and (known.user_id = any(:owners) or known.company_id = any(:owners))
order by distance nulls last, known.asserted_at desc, known.brain_id
limit :limit
"""
_NO_MEMORIES = "(select null::uuid as id, null::vector as vector where false)"


class KnownMemories:
    def __init__(self, database: Database, model: str) -> None:
        self._database = database
        self._model = model

    async def nearest(self, owners: Collection[Owner], messages: Sequence[UUID], *, limit: int) -> list[KnownMemory]:
        """Give the owners' memories that stand and are nearest in meaning to any of the messages, nearest first."""
        whose = {owner.id: owner for owner in owners}
        async with self._database.transaction() as session:
            vectors = await find_table(session, self._model)
            if vectors is None or not whose:
                return []
            found = await _nearest(session, vectors, list(whose), messages, limit)
        return [KnownMemory(whose[row.owner_id], row.slug, row.kind, row.content) for row in found]

    async def rights_in(self, room_id: str, people: Collection[Owner]) -> Rights:
        """Say which company the room belongs to, and who of these people may speak for it."""
        async with self._database.transaction() as session:
            room = await session.get(Room, room_id)
            if room is None or room.owner_type != "company" or room.owner_id is None:
                return Rights()
            may_speak = await session.scalars(
                select(CompanyMember.user_id).where(
                    CompanyMember.company_id == room.owner_id,
                    CompanyMember.user_id.in_([person.id for person in people]),
                    func.lower(CompanyMember.role).in_(SPEAK_FOR_THE_COMPANY),
                )
            )
            return Rights(_company(room), frozenset(may_speak))


def _company(room: Room) -> Owner:
    named = owner_of("company", room.company_id) if room.company_id else None
    return named if named and named.id == room.owner_id else Owner("company", room.owner_id or UUID(int=0))


async def _nearest(
    session: AsyncSession, vectors: VectorTable, owners: list[UUID], messages: Sequence[UUID], limit: int
) -> Sequence[Row[Any]]:
    statement = _NEAREST.replace("{vectors}", vectors.table.name)
    statement = statement.replace("{memories}", vectors.memory_table or _NO_MEMORIES)
    uuids = (bindparam("owners", type_=ARRAY(Uuid)), bindparam("messages", type_=ARRAY(Uuid)))
    asked = {"owners": owners, "messages": list(messages), "limit": limit}
    return (await session.execute(text(statement).bindparams(*uuids), asked)).all()
