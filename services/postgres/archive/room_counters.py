"""Mends rooms whose counters lag behind their rows, as after a partial restore: nothing more could be archived."""

from typing import Any, cast

from sqlalchemy import CursorResult, text

from services.postgres.database import Database

# A number that is too low would be given out, or cut, a second time. One that is too high only leaves a gap.
_MEND = text("""
with page as (select id from rooms where id > :after order by id limit :limit),
wrong as (
    select rooms.id, greatest(rooms.last_seq, said.seq) as last_seq, greatest(rooms.chunked_seq, cut.seq) as chunked_seq
    from page join rooms on rooms.id = page.id
    cross join lateral (select max(seq) as seq from messages where room_id = page.id) as said
    cross join lateral (select max(last_seq) as seq from chunks where room_id = page.id) as cut
    where rooms.last_seq < said.seq or rooms.chunked_seq < least(cut.seq, greatest(rooms.last_seq, said.seq))
    for update of rooms
)
update rooms set chunked_seq = least(wrong.chunked_seq, wrong.last_seq), last_seq = wrong.last_seq
from wrong where rooms.id = wrong.id
""")
_LAST = text("select max(id) from (select id from rooms where id > :after order by id limit :limit) as page")


class RoomCounters:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def mend(self, after: str, *, limit: int) -> tuple[int, str | None]:
        """Mend the next rooms; answer how many were wrong, and the last one looked at, None after the last page."""
        page = {"after": after, "limit": limit}
        async with self._database.transaction() as session:
            mended = cast("CursorResult[Any]", await session.execute(_MEND, page)).rowcount
            return mended, await session.scalar(_LAST, page)
