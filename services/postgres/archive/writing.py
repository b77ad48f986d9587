"""Writes claims into the archive."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from services.domain.ids import message_uid, quarantine_id
from services.domain.languages import language_of
from services.domain.messages import ClaimedEntry, NewMessage, Rejected
from services.domain.room_owner import room_owner
from services.postgres.database import Database
from services.postgres.forgetting.admission import Work, admit
from services.postgres.tables.archive import QuarantineRow, Room

# Makes the room if it is new, and holds its row. It belongs to whoever is named first in it, and keeps to them.
_HOLD = text("""
insert into rooms (id, user_id, company_id, owner_type, owner_id)
values (:id, :user_id, :company_id, :owner_type, :owner_id)
on conflict (id) do update set (user_id, company_id, owner_type, owner_id) = (
    select whose.user_id, whose.company_id, whose.owner_type, whose.owner_id
    from (values
        (rooms.user_id, rooms.company_id, rooms.owner_type, rooms.owner_id, 1),
        (excluded.user_id, excluded.company_id, excluded.owner_type, excluded.owner_id, 2)
    ) as whose (user_id, company_id, owner_type, owner_id, place)
    order by whose.owner_id is null, whose.place limit 1
)
returning last_seq, exists (
    select from chunks where room_id = rooms.id and state in ('waiting', 'extracted')
) as has_waiting_chunk
""")
# Without a fingerprint: it was forgotten, and that perhaps since the entries were admitted, while the room was held.
_KNOWN = text("""
select said.id, kept.fingerprint from unnest(cast(:ids as text[]), cast(:uids as uuid[])) as said (id, uid)
left join messages as kept on kept.room_id = :room_id and kept.id = said.id
left join forgotten_messages as gone on gone.uid = said.uid
where kept.id is not null or gone.uid is not null
""")
# One statement, however many messages there are: each for itself takes the driver and Postgres longer than the message.
_ADD = text("""
with added as (
    insert into messages (
        room_id, claim, run_id, seq, id, uid, role, content, user_id, company_id, sent_at, tool_calls, extra_metadata,
        remember, language, fingerprint
    )
    select cast(:room_id as text), :claim, :run_id, said.*
    from unnest(
        cast(:seq as bigint[]), cast(:id as text[]), cast(:uid as uuid[]), cast(:role as text[]),
        cast(:content as text[]), cast(:user_id as text[]), cast(:company_id as text[]),
        cast(:sent_at as timestamptz[]), cast(:tool_calls as jsonb[]), cast(:extra_metadata as jsonb[]),
        cast(:remember as boolean[]), cast(:language as text[]), cast(:fingerprint as bytea[])
    ) as said
)
update rooms set last_seq = :last_seq, last_archived_at = now() where id = :room_id
""")


@dataclass(frozen=True, slots=True)
class Archived:
    """What became of some entries: each is counted once. What stays out as it was forgotten counts as `repeated`.

    `has_waiting_chunk` is how it was before the commit: the chunk may be digested by now, and was not added to.
    """

    added: int
    repeated: int
    quarantined: int
    last_seq: int
    has_waiting_chunk: bool = False


class Archive:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(
        self, room_id: str, claim: str, entries: Sequence[ClaimedEntry], *, run_id: str, epoch: int | None = None
    ) -> Archived:
        """Archive entries of one claim in their order, in one transaction; a repeated call changes nothing.

        Sequence numbers are given out under the room row's lock, so a reader never skips one that commits late. The
        same id with the same content is one message; with other content the later one is quarantined. What was said by
        somebody who was forgotten after it was taken stays out: `epoch` tells that where the claim has no time.
        """
        async with self._database.transaction() as session:
            admitted = await admit(session, room_id, entries, Work(claim, epoch))
            if not admitted:
                return Archived(0, len(entries), 0, await _last_seq(session, room_id))
            last_seq, has_waiting_chunk = await _hold_room(session, room_id, admitted)
            said = [entry.read.id for entry in admitted if isinstance(entry.read, NewMessage)]
            uids = {id_: message_uid(room_id, id_) for id_ in said}
            known = await _known(session, room_id, uids) if last_seq else {}
            rows, rejected = _sorted_out(admitted, uids, known, last_seq)
            if rows:
                last_seq += len(rows)
                named = {"room_id": room_id, "claim": claim, "run_id": run_id, "last_seq": last_seq}
                await session.execute(_ADD, named | {name: [row[name] for row in rows] for name in rows[0]})
            await quarantine_entries(session, "entry", room_id, claim, rejected, run_id=run_id)
        repeated = len(entries) - len(rows) - len(rejected)
        return Archived(len(rows), repeated, len(rejected), last_seq, has_waiting_chunk)


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


async def _hold_room(session: AsyncSession, room_id: str, entries: Sequence[ClaimedEntry]) -> tuple[int, bool]:
    """Hold the room's row until the transaction ends; answer its last number, and whether a chunk waits."""
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
    room = (await session.execute(_HOLD, {"id": room_id, **whose})).one()
    return room.last_seq, room.has_waiting_chunk


async def _last_seq(session: AsyncSession, room_id: str) -> int:
    return await session.scalar(select(Room.last_seq).where(Room.id == room_id)) or 0


async def _known(session: AsyncSession, room_id: str, uids: Mapping[str, UUID]) -> dict[str, bytes | None]:
    asked = {"room_id": room_id, "ids": list(uids), "uids": list(uids.values())}
    return {row.id: row.fingerprint for row in await session.execute(_KNOWN, asked)}


def _sorted_out(
    entries: Sequence[ClaimedEntry], uids: Mapping[str, UUID], known: dict[str, bytes | None], last_seq: int
) -> tuple[list[dict[str, object]], list[tuple[ClaimedEntry, Rejected]]]:
    """Give the rows of what is new, numbered after `last_seq`, and what is to be quarantined; the rest is repeated."""
    rows: list[dict[str, object]] = []
    rejected: list[tuple[ClaimedEntry, Rejected]] = []
    for entry in entries:
        read = entry.read
        if isinstance(read, Rejected):
            rejected.append((entry, read))
            continue
        fingerprint = read.fingerprint()
        if read.id not in known:
            known[read.id] = fingerprint
            rows.append(_row(last_seq + len(rows) + 1, uids[read.id], read, fingerprint))
        elif known[read.id] not in (fingerprint, None):
            rejected.append((entry, Rejected("id_reused", "id: was used before, for other content")))
    return rows, rejected


def _row(seq: int, uid: UUID, message: NewMessage, fingerprint: bytes) -> dict[str, object]:
    return {
        "seq": seq,
        "id": message.id,
        "uid": uid,
        "role": message.role,
        "content": message.content,
        "user_id": message.user_id,
        "company_id": message.company_id,
        "sent_at": message.sent_at,
        "tool_calls": json.dumps(message.tool_calls),
        "extra_metadata": json.dumps(message.metadata),
        "remember": message.remember,
        "language": language_of(message.content),
        "fingerprint": fingerprint,
    }
