"""Writes claims into the archive."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from services.domain.ids import message_uid, quarantine_id
from services.domain.languages import language_of
from services.domain.messages import ClaimedEntry, NewMessage, Rejected
from services.domain.room_owner import room_owner
from services.postgres.database import Database
from services.postgres.tables import ArchivedRow, QuarantineRow, Room


@dataclass(frozen=True, slots=True)
class Archived:
    """What became of some entries: each is counted once."""

    added: int
    repeated: int
    quarantined: int
    last_seq: int


class Archive:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, room_id: str, claim: str, entries: Sequence[ClaimedEntry], *, run_id: str) -> Archived:
        """Archive entries of one claim in their order, in one transaction; a repeated call changes nothing.

        Sequence numbers are given out under the room row's lock, so a reader never skips one that commits late. The
        same id with the same content is one message; with other content the later one is quarantined.
        """
        async with self._database.transaction() as session:
            last_seq = await _lock_room(session, room_id, entries)
            known = await _fingerprints(session, room_id, entries)
            rows, rejected, repeated = [], [], 0
            for entry in entries:
                read = entry.read
                if isinstance(read, Rejected):
                    rejected.append((entry, read))
                    continue
                fingerprint = read.fingerprint()
                if read.id not in known:
                    known[read.id] = fingerprint
                    last_seq += 1
                    rows.append(_row(room_id, last_seq, read, claim=claim, run_id=run_id))
                elif known[read.id] == fingerprint:
                    repeated += 1
                else:
                    rejected.append((entry, Rejected("id_reused", "id: was used before, for other content")))
            if rows:
                await session.execute(insert(ArchivedRow), rows)
                await session.execute(
                    update(Room).where(Room.id == room_id).values(last_seq=last_seq, last_archived_at=func.now())
                )
            await quarantine_entries(session, "entry", room_id, claim, rejected, run_id=run_id)
        return Archived(len(rows), repeated, len(rejected), last_seq)


async def quarantine_entries(
    session: AsyncSession,
    kind: str,
    room_id: str | None,
    source: str,
    rejected: Sequence[tuple[ClaimedEntry, Rejected]],
    *,
    run_id: str,
) -> None:
    """Keep entries that are no messages, whole, with their reasons; a repeated call changes nothing."""
    rows = [
        {
            "id": quarantine_id(source, entry.position),
            "kind": kind,
            "room_id": room_id,
            "source": source,
            "position": entry.position,
            "reason": why.reason,
            "detail": why.detail,
            "raw": entry.raw,
            "run_id": run_id,
        }
        for entry, why in rejected
    ]
    if rows:
        await session.execute(insert(QuarantineRow).on_conflict_do_nothing(), rows)


async def _lock_room(session: AsyncSession, room_id: str, entries: Sequence[ClaimedEntry]) -> int:
    """Make the room if it is new and hold its row; answer its last number.

    It belongs to whoever is named first in it, and keeps to them.
    """
    said = [entry.read for entry in entries if isinstance(entry.read, NewMessage)]
    named = next((message for message in said if message.user_id or message.company_id), None)
    user_id, company_id = (named.user_id, named.company_id) if named else (None, None)
    owner = room_owner(room_id, user_id, company_id)
    whose = {
        "user_id": user_id,
        "company_id": company_id,
        "owner_type": owner.type if owner else None,
        "owner_id": owner.id if owner else None,
    }
    await session.execute(insert(Room).values(id=room_id, **whose).on_conflict_do_nothing())
    room = (
        await session.execute(select(Room.last_seq, Room.owner_id).where(Room.id == room_id).with_for_update())
    ).one()
    if room.owner_id is None and owner:
        await session.execute(update(Room).where(Room.id == room_id).values(whose))
    return int(room.last_seq)


async def _fingerprints(session: AsyncSession, room_id: str, entries: Sequence[ClaimedEntry]) -> dict[str, bytes]:
    ids = [entry.read.id for entry in entries if isinstance(entry.read, NewMessage)]
    found = await session.execute(
        select(ArchivedRow.id, ArchivedRow.fingerprint).where(ArchivedRow.room_id == room_id, ArchivedRow.id.in_(ids))
    )
    return {row.id: row.fingerprint for row in found}


def _row(room_id: str, seq: int, message: NewMessage, *, claim: str, run_id: str) -> dict[str, object]:
    return {
        "room_id": room_id,
        "seq": seq,
        "id": message.id,
        "uid": message_uid(room_id, message.id),
        "role": message.role,
        "content": message.content,
        "user_id": message.user_id,
        "company_id": message.company_id,
        "sent_at": message.sent_at,
        "tool_calls": list(message.tool_calls),
        "extra_metadata": message.metadata,
        "remember": message.remember,
        "language": language_of(message.content),
        "fingerprint": message.fingerprint(),
        "claim": claim,
        "run_id": run_id,
    }
