"""What an import asks the archive beforehand, and what it leaves beside it."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import func, literal, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from services.domain.ids import quarantine_id
from services.domain.messages import ClaimedEntry, Rejected
from services.postgres.database import Database
from services.postgres.forgetting.admission import Work, admit
from services.postgres.forgetting.epochs import current
from services.postgres.tables.archive import IS_LEFT, ArchivedRow, ChunkRow, QuarantineRow, Room
from services.postgres.tables.imports import ImportedRoomRow

CLAIM_PREFIX = "import/"


@dataclass(frozen=True, slots=True)
class Known:
    """A message that the archive has, and the claim that brought it."""

    fingerprint: bytes
    claim: str


@dataclass(frozen=True, slots=True)
class SetAside:
    """What is no message, named by its content, so that the same found again is one in quarantine."""

    room_id: str | None
    source: str
    entry: ClaimedEntry
    why: Rejected


class Imports:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def known(self, room_id: str, ids: Sequence[str]) -> dict[str, Known]:
        async with self._database.transaction() as session:
            rows = await session.execute(
                select(ArchivedRow.id, ArchivedRow.fingerprint, ArchivedRow.claim).where(
                    ArchivedRow.room_id == room_id, ArchivedRow.id.in_(ids)
                )
            )
            return {row.id: Known(row.fingerprint, row.claim) for row in rows}

    async def note_rooms(self, import_run: str, room_ids: Sequence[str]) -> None:
        """Write down which rooms an import brought messages for; a room of which nothing could be read is none."""
        rooms = select(literal(import_run), Room.id).where(Room.id.in_(room_ids))
        async with self._database.transaction() as session:
            await session.execute(
                insert(ImportedRoomRow).from_select(["import_run", "room_id"], rooms).on_conflict_do_nothing()
            )

    async def count_rooms(self, import_run: str) -> int:
        async with self._database.transaction() as session:
            counted = select(func.count()).where(ImportedRoomRow.import_run == import_run)
            return await session.scalar(counted) or 0

    async def epoch(self) -> int:
        """Give the newest epoch: of those who are forgotten after it, an import brings nothing more."""
        async with self._database.transaction() as session:
            return await current(session)

    async def set_aside(self, items: Sequence[SetAside], *, run_id: str, epoch: int | None = None) -> None:
        """Keep what is no message, with its reason; what is there already, from whichever import, is left alone."""
        if not items:
            return
        async with self._database.transaction() as session:
            kept = [item for item in items if await admit(session, item.room_id, [item.entry], Work("", epoch))]
            await _set_aside(session, kept, run_id)

    async def backlog(self, room_ids: Sequence[str]) -> dict[str, str | None]:
        """Of these rooms, give those whose next messages to digest came by an import, with whose they are."""
        waiting = select(func.min(ChunkRow.first_seq)).where(ChunkRow.room_id == Room.id, IS_LEFT).scalar_subquery()
        following = (
            select(ArchivedRow.claim)
            .where(ArchivedRow.room_id == Room.id, ArchivedRow.seq == func.coalesce(waiting, Room.chunked_seq + 1))
            .scalar_subquery()
        )
        wanted = select(Room.id, func.coalesce(Room.company_id, Room.user_id).label("owner")).where(
            Room.id.in_(room_ids), following.startswith(CLAIM_PREFIX)
        )
        async with self._database.transaction() as session:
            return {row.id: row.owner for row in await session.execute(wanted)}


async def _set_aside(session: AsyncSession, items: Sequence[SetAside], run_id: str) -> None:
    rows = [
        {
            "id": quarantine_id(item.source, 0),
            "kind": "entry",
            "room_id": item.room_id,
            "source": item.source,
            "position": item.entry.position,
            "reason": item.why.reason,
            "detail": item.why.detail,
            "raw": item.entry.raw,
            "run_id": run_id,
        }
        for item in items
    ]
    if rows:
        await session.execute(insert(QuarantineRow).on_conflict_do_nothing(), rows)
