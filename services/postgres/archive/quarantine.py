"""Keeps what could not be processed, and gives it back to be tried again."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import Update, func, select, tuple_, update
from sqlalchemy.orm import defer

from services.domain.messages import ClaimedEntry, Rejected
from services.postgres.archive.writing import quarantine_entries
from services.postgres.database import Database
from services.postgres.forgetting.admission import Work, admit
from services.postgres.forgetting.epochs import current
from services.postgres.tables.archive import ChunkRow, QuarantineRow, Room

# What one transaction set aside has one time.
_AS_THEY_CAME = (QuarantineRow.created_at, QuarantineRow.source, QuarantineRow.position, QuarantineRow.id)


@dataclass(frozen=True, slots=True)
class Quarantined:
    """One thing in quarantine. `raw` is read only when asked for by id."""

    id: UUID
    kind: str
    room_id: str | None
    source: str
    position: int
    reason: str
    detail: str
    state: str
    tries: int
    created_at: datetime
    raw: bytes | None = None


class Quarantine:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def add_buffer(self, source: str, entries: Sequence[bytes], *, run_id: str) -> None:
        """Keep the entries of a buffer whose key names no room; `source` is the key and the run that took it."""
        rejected = [
            (ClaimedEntry(position, raw, why), why)
            for position, raw in enumerate(entries)
            for why in [Rejected("bad_key", "the key names no room: letters, digits and _ . : - only, 200 at most")]
        ]
        async with self._database.transaction() as session:
            admitted = {entry.position for entry in await admit(session, None, [e for e, _ in rejected], Work(source))}
            kept = [(entry, why) for entry, why in rejected if entry.position in admitted]
            await quarantine_entries(session, "buffer", None, source, kept, run_id=run_id)

    async def epoch(self) -> int:
        """Give the newest epoch: whoever reads something here is told by it if it was forgotten since."""
        async with self._database.transaction() as session:
            return await current(session)

    async def list_open(self, *, room_id: str | None = None, limit: int = 100) -> list[Quarantined]:
        wanted = select(QuarantineRow).where(QuarantineRow.state == "open")
        if room_id is not None:
            wanted = wanted.where(QuarantineRow.room_id == room_id)
        async with self._database.transaction() as session:
            ordered = wanted.order_by(*_AS_THEY_CAME).limit(limit).options(defer(QuarantineRow.raw))
            return [_quarantined(row) for row in await session.scalars(ordered)]

    async def page(
        self,
        *,
        after: tuple[datetime, str, int, UUID] | None = None,
        room_id: str | None = None,
        owners: Collection[UUID] | None = None,
        limit: int = 100,
    ) -> list[Quarantined]:
        """Page through what is open; with `owners`, of their rooms only."""
        wanted = select(QuarantineRow).where(QuarantineRow.state == "open")
        if room_id is not None:
            wanted = wanted.where(QuarantineRow.room_id == room_id)
        if owners is not None:
            wanted = wanted.where(QuarantineRow.room_id.in_(select(Room.id).where(Room.owner_id.in_(owners))))
        if after is not None:
            wanted = wanted.where(tuple_(*_AS_THEY_CAME) > after)
        async with self._database.transaction() as session:
            ordered = wanted.order_by(*_AS_THEY_CAME).limit(limit).options(defer(QuarantineRow.raw))
            return [_quarantined(row) for row in await session.scalars(ordered)]

    async def open_ids(self) -> list[UUID]:
        """Give the ids of all that is open, in the order in which it came."""
        async with self._database.transaction() as session:
            wanted = select(QuarantineRow.id).where(QuarantineRow.state == "open")
            return list(await session.scalars(wanted.order_by(*_AS_THEY_CAME)))

    async def get(self, item: UUID) -> Quarantined | None:
        async with self._database.transaction() as session:
            row = await session.get(QuarantineRow, item)
        return _quarantined(row, raw=row.raw) if row else None

    async def put_chunk_back(self, item: Quarantined) -> None:
        """Let a chunk be digested again, as if it had never failed."""
        async with self._database.transaction() as session:
            await session.execute(
                update(ChunkRow)
                .where(ChunkRow.id == UUID(item.source), ChunkRow.state == "quarantined")
                .values(state="waiting", attempts=0)
            )
            await session.execute(_redriven(item.id))

    async def close(self, item: UUID) -> None:
        """Mark it as redriven: its entry has been archived."""
        async with self._database.transaction() as session:
            await session.execute(_redriven(item))

    async def count_try(self, item: UUID, why: Rejected) -> None:
        """Keep it, with today's reason: trying again did not help."""
        async with self._database.transaction() as session:
            await session.execute(
                update(QuarantineRow)
                .where(QuarantineRow.id == item)
                .values(tries=QuarantineRow.tries + 1, reason=why.reason, detail=why.detail)
            )


def _redriven(item: UUID) -> Update:
    return update(QuarantineRow).where(QuarantineRow.id == item).values(state="redriven", redriven_at=func.now())


def _quarantined(row: QuarantineRow, raw: bytes | None = None) -> Quarantined:
    return Quarantined(
        id=row.id,
        kind=row.kind,
        room_id=row.room_id,
        source=row.source,
        position=row.position,
        reason=row.reason,
        detail=row.detail,
        state=row.state,
        tries=row.tries,
        created_at=row.created_at,
        raw=raw,
    )
