"""Decides which entries of a claim come into the archive: nothing of those who were forgotten after it was taken."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from sqlalchemy import Uuid, bindparam, or_, select, text
from sqlalchemy.dialects.postgresql import ARRAY, insert
from sqlalchemy.ext.asyncio import AsyncSession

from services.domain.forgetting import TOMBSTONE, Said, is_named, is_own_room, named_owner, said_in, taken_at, theirs
from services.domain.ids import message_uid
from services.domain.memories import Owner
from services.domain.messages import ClaimedEntry, NewMessage
from services.postgres.forgetting.epochs import Epoch, enter_all
from services.postgres.tables.archive import ArchivedRow, Room
from services.postgres.tables.forgetting import ForgottenMessageRow

_FORGOTTEN = text("select uid from forgotten_messages where uid = any (:uids)").bindparams(
    bindparam("uids", type_=ARRAY(Uuid))
)


@dataclass(frozen=True, slots=True)
class Work:
    """What brings entries, and since when it has them: by its claim's time, or by the epoch in which it read them."""

    claim: str
    epoch: int | None = None

    def began_before(self, epoch: Epoch) -> bool:
        at = taken_at(self.claim)
        return (at is not None and at < epoch.claimed_before) or (self.epoch is not None and self.epoch < epoch.number)


async def admit(
    session: AsyncSession, room_id: str | None, entries: Sequence[ClaimedEntry], work: Work
) -> list[ClaimedEntry]:
    """Leave out what was forgotten. The owners named in the entries are held until the transaction ends.

    Without a room they are of a buffer whose key names none.
    """
    given = [entry for entry in entries if entry.raw != TOMBSTONE]
    owners = _owners([_said(entry, room_id) for entry in given])
    epochs = await enter_all(session, owners)
    late = [owner for owner in owners if (found := epochs.get((owner.type, owner.id))) and work.began_before(found)]
    for owner in late:
        without = _without_person if owner.type == "user" else _without_company
        given = await without(session, owner, room_id, given)
    return await _new(session, room_id, given)


async def note_forgotten(session: AsyncSession, room_id: str | None, messages: Sequence[str]) -> None:
    """Write down which messages stay out for good, by the hashes of their ids."""
    uids = sorted({message_uid(room_id, id_) for id_ in messages}) if room_id else []
    if uids:
        rows = [{"uid": uid} for uid in uids]
        await session.execute(insert(ForgottenMessageRow).on_conflict_do_nothing(), rows)


async def last_turn_is_of(session: AsyncSession, room_id: str | None, person: Owner) -> bool | None:
    """Say whether the archive of a room ends with this person's turn; None where nobody has begun one."""
    begun = or_(ArchivedRow.user_id.is_not(None), ArchivedRow.role == "user")
    last = select(ArchivedRow.user_id).where(ArchivedRow.room_id == room_id, begun)
    found = (await session.execute(last.order_by(ArchivedRow.seq.desc()).limit(1))).one_or_none()
    return None if found is None else is_named(person, found.user_id)


async def _new(session: AsyncSession, room_id: str | None, entries: list[ClaimedEntry]) -> list[ClaimedEntry]:
    named = [
        message_uid(room_id, entry.read.id) if room_id and isinstance(entry.read, NewMessage) else None
        for entry in entries
    ]
    uids = [uid for uid in named if uid]
    if not uids:
        return entries
    forgotten = set(await session.scalars(_FORGOTTEN, {"uids": uids}))
    return [entry for entry, uid in zip(entries, named, strict=True) if uid not in forgotten]


async def _without_person(
    session: AsyncSession, owner: Owner, room_id: str | None, entries: list[ClaimedEntry]
) -> list[ClaimedEntry]:
    own = is_own_room(owner, room_id)
    follows = await last_turn_is_of(session, room_id, owner)
    gone = [own or said for said in theirs(owner, [_said(entry, room_id) for entry in entries], follows=follows)]
    return await _left(session, room_id, entries, gone)


async def _without_company(
    session: AsyncSession, owner: Owner, room_id: str | None, entries: list[ClaimedEntry]
) -> list[ClaimedEntry]:
    """In a room of somebody else the messages stay, and name the company no more; its own room went whole."""
    found = (await session.execute(select(Room.owner_id).where(Room.id == room_id))).one_or_none()
    elsewhere = (room_id or "").startswith("user:") or (found is not None and found.owner_id not in (None, owner.id))
    named = [_is_of(owner, entry, room_id) for entry in entries]
    if not elsewhere:
        return await _left(session, room_id, entries, named)
    return [_nameless(entry) if is_of else entry for entry, is_of in zip(entries, named, strict=True)]


def _nameless(entry: ClaimedEntry) -> ClaimedEntry:
    if not isinstance(entry.read, NewMessage):
        return entry
    return replace(entry, read=replace(entry.read, company_id=None, forgotten_company=entry.read.company_id))


async def _left(
    session: AsyncSession, room_id: str | None, entries: Sequence[ClaimedEntry], gone: Sequence[bool]
) -> list[ClaimedEntry]:
    """Give the others, and see to it that what is gone stays out for good."""
    ids = [
        entry.read.id for entry, out in zip(entries, gone, strict=True) if out and isinstance(entry.read, NewMessage)
    ]
    await note_forgotten(session, room_id, ids)
    return [entry for entry, out in zip(entries, gone, strict=True) if not out]


def _is_of(owner: Owner, entry: ClaimedEntry, room_id: str | None) -> bool:
    named = named_owner("company", _said(entry, room_id).company_id)
    return named is not None and named.id == owner.id


def _said(entry: ClaimedEntry, room_id: str | None) -> Said:
    read = entry.read
    if isinstance(read, NewMessage):
        return Said(read.role, read.user_id, read.company_id, read.id)
    return said_in(entry.raw, room_id)


def _owners(said: Sequence[Said]) -> list[Owner]:
    people = {one.user_id: None for one in said}
    companies = {one.company_id: None for one in said}
    found = [*(named_owner("user", id_) for id_ in people), *(named_owner("company", id_) for id_ in companies)]
    return list({(owner.type, owner.id): owner for owner in found if owner}.values())
