"""What is known already of the people in a room and of its company, for whoever looks for new memories in it.

Functions of a session, so that whoever digests reads it all in one transaction.
"""

from collections.abc import Collection, Sequence
from uuid import UUID

from sqlalchemy import Uuid, and_, bindparam, func, select, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncSession

from services.domain.extraction.known import KnownMemory
from services.domain.extraction.owners import Rights
from services.domain.memories import Owner, owner_of
from services.postgres.tables.archive import Room
from services.postgres.tables.people import CompanyMember
from services.postgres.vectors.tables import VectorTable, among

SPEAK_FOR_THE_COMPANY = ("owner", "admin")
# So many are shown to a model.
MOST_KNOWN = 12

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


async def nearest(
    session: AsyncSession,
    vectors: VectorTable | None,
    owners: Collection[Owner],
    messages: Sequence[UUID],
    *,
    limit: int = MOST_KNOWN,
) -> list[KnownMemory]:
    """Give the owners' memories that stand and are nearest in meaning to any of the messages, nearest first.

    `vectors` are the current model's; without them nothing is known.
    """
    whose = {owner.id: owner for owner in owners}
    if vectors is None or not whose:
        return []
    statement = _NEAREST.replace("{vectors}", vectors.table.name)
    statement = statement.replace("{memories}", vectors.memory_table or _NO_MEMORIES)
    uuids = (bindparam("owners", type_=ARRAY(Uuid)), bindparam("messages", type_=ARRAY(Uuid)))
    asked = {"owners": list(whose), "messages": list(messages), "limit": limit}
    found = await session.execute(text(statement).bindparams(*uuids), asked)
    return [KnownMemory(whose[row.owner_id], row.slug, row.kind, row.content) for row in found]


async def rights_in(session: AsyncSession, room_id: str, people: Collection[Owner]) -> Rights:
    """Say which company the room belongs to, and who of these people may speak for it."""
    speaks = and_(
        CompanyMember.company_id == Room.owner_id,
        among(CompanyMember.user_id, [person.id for person in people]),
        func.lower(CompanyMember.role).in_(SPEAK_FOR_THE_COMPANY),
    )
    rows = await session.execute(
        select(Room.owner_id, Room.company_id, CompanyMember.user_id)
        .outerjoin(CompanyMember, speaks)
        .where(Room.id == room_id, Room.owner_type == "company")
    )
    found = rows.all()
    if not found:
        return Rights()
    may_speak = frozenset(row.user_id for row in found if row.user_id)
    return Rights(_company(found[0].owner_id, found[0].company_id), may_speak)


def _company(id_: UUID, name: str | None) -> Owner:
    named = owner_of("company", name) if name else None
    return named if named and named.id == id_ else Owner("company", id_)
