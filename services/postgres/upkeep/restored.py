"""What a restored database is asked and told before anybody works on it again."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

from sqlalchemy import CursorResult, func, select, text

from services.domain.memories import Owner, OwnerType
from services.postgres.database import Database
from services.postgres.tables.archive import ArchivedRow
from services.postgres.tables.forgetting import ForgettingRow, OwnerEpochRow

# Whose names are seen is the login's to ask, not that of the role which we assume.
_AS_LOGIN = text("set local role none")
_OTHERS = text("""
    select count(*) from pg_stat_activity
    where datname = current_database() and application_name = 'afterturn' and pid <> pg_backend_pid()
""")
_AHEAD = text("""
    update rooms set last_seq = last_seq + :ahead, chunked_seq = chunked_seq + :ahead where chunked_seq = last_seq
""")
# The system may take numbers of the sequence, and not set it.
_VERSIONS_AHEAD = text("select count(nextval('section_versions')) from generate_series(1, 100000)")


@dataclass(frozen=True, slots=True)
class KnownForgettings:
    """The runs of forgettings that the database knows, by whether they are finished."""

    finished: frozenset[str]
    unfinished: dict[str, Owner]


class RestoredDatabase:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def others(self) -> int:
        """Count the other connections of workers, APIs and commands; ask before opening a second one oneself."""
        async with self._database.transaction() as session:
            await session.execute(_AS_LOGIN)
            return await session.scalar(_OTHERS) or 0

    async def has_archived_since(self, at: datetime) -> bool:
        async with self._database.transaction() as session:
            newest = await session.scalar(select(func.max(ArchivedRow.archived_at)))
        return newest is not None and newest > at

    async def newest(self) -> datetime | None:
        """Give the time of the last message that was archived, and so about the moment that was restored."""
        async with self._database.transaction() as session:
            return await session.scalar(select(func.max(ArchivedRow.archived_at)))

    async def forgotten_since(self, at: datetime) -> list[Owner]:
        """Give the owners who were forgotten after a time of Redis."""
        row = OwnerEpochRow
        wanted = select(row.owner_type, row.owner_id).where(row.claimed_before > at).order_by(row.epoch)
        async with self._database.transaction() as session:
            found = await session.execute(wanted)
            return [Owner(cast("OwnerType", one.owner_type), one.owner_id) for one in found]

    async def forgettings(self) -> KnownForgettings:
        row = ForgettingRow
        wanted = select(row.run_id, row.owner_type, row.owner_id, row.finished_at).order_by(row.started_at)
        finished, unfinished = set[str](), dict[str, Owner]()
        async with self._database.transaction() as session:
            for one in await session.execute(wanted):
                if one.finished_at:
                    finished.add(one.run_id)
                else:
                    unfinished[one.run_id] = Owner(cast("OwnerType", one.owner_type), one.owner_id)
        return KnownForgettings(frozenset(finished), unfinished)

    async def move_versions_ahead(self) -> None:
        """Let no version of the section store be given out a second time: somebody may hold it as an ETag."""
        async with self._database.transaction() as session:
            await session.execute(_VERSIONS_AHEAD)

    async def move_numbers_ahead(self, ahead: int) -> int:
        """Leave a gap in the numbers of each room that is cut whole; count these."""
        async with self._database.transaction() as session:
            return cast("CursorResult[Any]", await session.execute(_AHEAD, {"ahead": ahead})).rowcount
