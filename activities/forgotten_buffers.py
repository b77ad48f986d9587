"""Takes what an owner said out of Redis, and sees to it that it stays out."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import select

from services.domain.forgetting import TOMBSTONE, Said, is_own_room, named_owner, said_in, theirs, without_company
from services.domain.memories import Owner
from services.postgres.database import Database
from services.postgres.forgetting.admission import last_turn_is_of, note_forgotten
from services.postgres.forgetting.forgettings import Forgetting
from services.postgres.tables.archive import Room
from services.room_buffer.erasing import BufferErasing


@dataclass(slots=True)
class _Chosen:
    """What is to stand in place of which entries, and the ids of those that go."""

    entries: dict[int, bytes] = field(default_factory=dict)
    ids: list[str] = field(default_factory=list)

    def take_out(self, place: int, said: Said) -> None:
        self.entries[place] = TOMBSTONE
        if said.id:
            self.ids.append(said.id)


class ForgottenBuffers:
    def __init__(self, erasing: BufferErasing, database: Database) -> None:
        self._erasing = erasing
        self._database = database

    async def now(self) -> datetime:
        return await self._erasing.now()

    async def erase(self, run: Forgetting, *, claimed_before: datetime | None = None) -> int:
        """Erase from every buffer and claim, or only from the claims that were taken before; count the entries."""
        erased = 0
        async for room_id in self._erasing.rooms():
            keys = await self._erasing.lists_of(room_id, claimed_before=claimed_before)
            if run.owner.type == "user":
                erased += await self._erase_person(keys, room_id, run.owner)
            else:
                whose = await self._owner_of(room_id)
                for key in keys:
                    erased += await self._erase_company(key, room_id, run.owner, whose)
        async for invalid, name in self._erasing.invalid_keys():
            erased += await self._erase_from_invalid(invalid, name, run)
        return erased

    async def _erase_person(self, keys: Sequence[str], room_id: str, person: Owner) -> int:
        """Read a room's lists as one, for what is said in one may reply to the one before, or to the archive."""
        follows = await self._last_turn_is_of(room_id, person)
        erased, gone, own = 0, set[tuple[str, int]](), is_own_room(person, room_id)
        while True:
            lists = {key: await self._erasing.entries(key) for key in keys}
            places = [(key, place) for key, entries in lists.items() for place in range(len(entries))]
            said = [_said(lists[key][place], room_id, person, is_gone=(key, place) in gone) for key, place in places]
            chosen = {key: _Chosen() for key in keys}
            for (key, place), one, is_theirs in zip(places, said, theirs(person, said, follows=follows), strict=True):
                if (own or is_theirs) and lists[key][place] != TOMBSTONE:
                    chosen[key].take_out(place, one)
                    gone.add((key, place))
            done = 0
            for key, entries in lists.items():
                done += await self._replace(key, room_id, entries, chosen[key])
            erased += done
            if done == 0:
                return erased

    async def _erase_company(self, key: str, room_id: str, company: Owner, whose: Owner | None) -> int:
        erased = 0
        while True:
            entries = await self._erasing.entries(key)
            chosen = _of_company(company, room_id, entries, [said_in(raw, room_id) for raw in entries], whose)
            done = await self._replace(key, room_id, entries, chosen)
            erased += done
            if done == 0:
                return erased

    async def _erase_from_invalid(self, key: bytes, name: str, run: Forgetting) -> int:
        named = run.email is not None and name == f"user:{run.email}:messages"
        entries = await self._erasing.entries(key)
        chosen = _Chosen()
        for place, raw in enumerate(entries):
            said = said_in(raw, None)
            given = named_owner(run.owner.type, said.user_id if run.owner.type == "user" else said.company_id)
            # The first may be a mark of ours, which says how many are taken.
            marked = raw.startswith(b"\x00")
            if not marked and (named or (given is not None and given.id == run.owner.id)):
                chosen.take_out(place, said)
        return await self._replace(key, None, entries, chosen)

    async def _replace(self, key: str | bytes, room_id: str | None, entries: Sequence[bytes], chosen: _Chosen) -> int:
        if not chosen.entries:
            return 0
        async with self._database.transaction() as session:
            await note_forgotten(session, room_id, chosen.ids)
        return await self._erasing.replace(key, entries, chosen.entries)

    async def _last_turn_is_of(self, room_id: str, person: Owner) -> bool | None:
        async with self._database.transaction() as session:
            return await last_turn_is_of(session, room_id, person)

    async def _owner_of(self, room_id: str) -> Owner | None:
        async with self._database.transaction() as session:
            wanted = select(Room.owner_type, Room.owner_id).where(Room.id == room_id)
            row = (await session.execute(wanted)).one_or_none()
        if row is None or row.owner_id is None:
            return None
        return Owner("user" if row.owner_type == "user" else "company", row.owner_id)


def _said(raw: bytes, room_id: str, person: Owner, *, is_gone: bool) -> Said:
    """Read an entry; where theirs stood a moment ago, it still is theirs that others reply to."""
    return Said("user", str(person.id), None) if is_gone and raw == TOMBSTONE else said_in(raw, room_id)


def _of_company(
    owner: Owner, room_id: str, entries: Sequence[bytes], said: Sequence[Said], whose: Owner | None
) -> _Chosen:
    """What is in its rooms goes; in those of others its messages name it no more."""
    chosen = _Chosen()
    own = whose is not None and (whose.type, whose.id) == (owner.type, owner.id)
    elsewhere = room_id.startswith("user:") or (whose is not None and not own)
    for place, one in enumerate(said):
        named = named_owner("company", one.company_id)
        is_of = named is not None and named.id == owner.id
        if entries[place] == TOMBSTONE or not (own or is_of):
            continue
        nameless = _nameless(entries[place]) if elsewhere else None
        if nameless is None:
            chosen.take_out(place, one)
        else:
            chosen.entries[place] = nameless
    return chosen


def _nameless(raw: bytes) -> bytes | None:
    try:
        return without_company(raw)
    except (ValueError, AttributeError, RecursionError):
        return None
