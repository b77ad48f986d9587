"""Erases messages that are past their retention, with all that was made of them, a page at a time."""

from sqlalchemy import select, text

from services.postgres.database import Database
from services.postgres.forgetting.erasing_messages import Erased, erase_messages
from services.postgres.tables.archive import Room
from services.postgres.upkeep.retention import since

# What one transaction erases at most.
_CHUNKS = 20
# Whole days: a room's rolling summary is made again once a day at most, and not at each chunk that grows old.
_KEPT = f"select date_trunc('day', {since('messages', 'rooms.owner')}, 'UTC') as since"
# Where the oldest chunk is not old, none is.
_NEXT = text(f"""
select rooms.id from rooms
cross join lateral ({_KEPT}) as kept
cross join lateral (
    select last_seq from chunks where room_id = rooms.id and state = 'digested' order by first_seq limit 1
) as oldest
join messages as last on last.room_id = rooms.id and last.seq = oldest.last_seq
where (cast(:days as int) > 0 or exists (select from retention where table_name = 'messages'))
and rooms.id > :after and last.archived_at < kept.since
order by rooms.id limit 1
""")  # noqa: S608  names of ours
_EXPIRED = text(f"""
with expired as (
    select chunks.first_seq, chunks.last_seq from rooms
    cross join lateral ({_KEPT}) as kept
    join chunks on chunks.room_id = rooms.id and chunks.state = 'digested'
    join messages as last on last.room_id = rooms.id and last.seq = chunks.last_seq
    where rooms.id = :room and last.archived_at < kept.since
    order by chunks.first_seq limit :chunks
)
select said.seq from messages as said join expired on said.seq between expired.first_seq and expired.last_seq
where said.room_id = :room order by said.seq
""")  # noqa: S608  names of ours


class ExpiredMessages:
    """`days` after they were archived messages expire, or as their room's owner wants; 0 keeps them for ever.

    A chunk's messages go together, when the last of them has expired and it is digested.
    """

    def __init__(self, database: Database, *, days: int) -> None:
        self._database = database
        self._days = days

    async def next_room(self, after: str) -> str | None:
        """Give the next room, in the order of their ids, that holds expired messages."""
        async with self._database.transaction() as session:
            found: str | None = await session.scalar(_NEXT, {"days": self._days, "after": after})
        return found

    async def erase(self, room_id: str) -> Erased:
        """Erase a page of a room's; nothing is left where nothing is counted. The room stays, and whose it is."""
        asked = {"days": self._days, "room": room_id, "chunks": _CHUNKS}
        async with self._database.transaction() as session:
            # Nothing is cut, and nothing digested is to be digested again, while the room is held.
            await session.execute(select(Room.id).where(Room.id == room_id).with_for_update())
            seqs = list(await session.scalars(_EXPIRED, asked))
            return await erase_messages(session, room_id, seqs) if seqs else Erased({})
