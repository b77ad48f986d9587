"""Tells which entries of a restored buffer the archive has already, under the claim that took them then."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import select, union

from services.domain.forgetting import TOMBSTONE, taken_at
from services.domain.ids import message_uid, quarantine_id
from services.domain.messages import ClaimedEntry, NewMessage
from services.postgres.database import Database
from services.postgres.tables.archive import ArchivedRow, QuarantineRow
from services.postgres.tables.forgetting import ForgottenMessageRow

# Claims have Redis' time, rows that of Postgres.
_SKEW = timedelta(hours=1)


class KnownEntries:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def claims(self, room_id: str, *, after: datetime, before: datetime) -> list[str]:
        """Give the claims that were taken of a room's buffer between two times of Redis, in their order."""
        row, aside = ArchivedRow, QuarantineRow
        since = after - _SKEW
        named = union(
            select(row.claim).where(row.room_id == room_id, row.archived_at > since),
            select(aside.source).where(aside.kind == "entry", aside.room_id == room_id, aside.created_at > since),
        )
        async with self._database.transaction() as session:
            names = list(await session.scalars(named))
        timed = [(at, name) for name in names if (at := taken_at(name)) is not None and after < at < before]
        return [name for _, name in sorted(timed)]

    async def are_known(self, room_id: str, claim: str, entries: Sequence[ClaimedEntry]) -> list[bool]:
        """Tell of each entry, read as one of the claim, whether it is archived, set aside or was forgotten since."""
        read = [entry.read for entry in entries if isinstance(entry.read, NewMessage)]
        uids = {message.id: message_uid(room_id, message.id) for message in read}
        aside = {entry.position: quarantine_id(claim, entry.position) for entry in entries}
        row = ArchivedRow
        async with self._database.transaction() as session:
            archived = await session.execute(
                select(row.id, row.fingerprint).where(row.room_id == room_id, row.id.in_(list(uids)))
            )
            fingerprints = {one.id: one.fingerprint for one in archived}
            gone = select(ForgottenMessageRow.uid).where(ForgottenMessageRow.uid.in_(list(uids.values())))
            forgotten = set(await session.scalars(gone))
            kept = select(QuarantineRow.id).where(QuarantineRow.id.in_(list(aside.values())))
            quarantined = set(await session.scalars(kept))

        def is_known(entry: ClaimedEntry) -> bool:
            if entry.raw == TOMBSTONE or aside[entry.position] in quarantined:
                return True
            if not isinstance(entry.read, NewMessage):
                return False
            uid = uids[entry.read.id]
            return uid in forgotten or fingerprints.get(entry.read.id) == entry.read.fingerprint()

        return [is_known(entry) for entry in entries]
