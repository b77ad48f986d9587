"""Says what belongs to an owner who is to be forgotten: by whom it was said, and when it was taken."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from services.domain.errors import InvalidInputError
from services.domain.memories import Owner, OwnerType, owner_of

# Stands in a buffer in place of an entry that was erased, so that those behind it keep their positions: their ids may
# come from these.
TOMBSTONE = b"\x00afterturn-forgotten"

_OWN_ROOM = "user:"
_TAKEN_AT = re.compile(r"\.(\d{1,12})\.(\d{1,6})$")
_NAMED = {
    name: re.compile(rb'"' + name.encode() + rb'"\s*:\s*"?([A-Za-z0-9_.:-]{1,200})')
    for name in ("user_id", "company_id")
}


@dataclass(frozen=True, slots=True)
class Said:
    """Who said something, as far as it tells, and under which id it was recorded."""

    role: str | None
    user_id: str | None
    company_id: str | None
    id: str | None = None

    @property
    def is_named(self) -> bool:
        """Whether it begins a turn: what names nobody is a reply to what was said before it."""
        return self.role == "user" or self.user_id is not None


def said_in(raw: bytes, room_id: str | None) -> Said:
    """Read who said an entry of a buffer, however broken it is; in a person's own room, without a name, that person."""
    try:
        entry = json.loads(raw.decode())
    except (ValueError, RecursionError):
        entry = {name: _found(pattern, raw) for name, pattern in _NAMED.items()}
    fields = entry if isinstance(entry, dict) else {}
    own = room_id.removeprefix(_OWN_ROOM) if room_id and room_id.startswith(_OWN_ROOM) else None
    user, company, given = (_id(fields.get(name)) for name in ("user_id", "company_id", "id"))
    return Said(_id(fields.get("role")), user or own, company, given)


def is_own_room(owner: Owner, room_id: str | None) -> bool:
    if owner.type != "user" or room_id is None or not room_id.startswith(_OWN_ROOM):
        return False
    return is_named(owner, room_id.removeprefix(_OWN_ROOM))


def is_named(owner: Owner, given: str | None) -> bool:
    """Whether an id as producers write it is this owner's."""
    named = named_owner(owner.type, given)
    return named is not None and named.id == owner.id


def named_owner(kind: OwnerType, given: str | None) -> Owner | None:
    try:
        return owner_of(kind, given) if given else None
    except InvalidInputError:
        return None


def theirs(owner: Owner, said: Sequence[Said], *, follows: bool | None) -> list[bool]:
    """Say of each thing that was said in one room, in its order, whether this person said it, or it replies to that.

    `follows` says whether the turn before all this was theirs; None where there was none: what opens a room goes with
    whoever speaks first in it.
    """
    if follows is None:
        first = next((one for one in said if one.is_named), None)
        follows = first is not None and is_named(owner, first.user_id)
    found = []
    for one in said:
        if one.is_named:
            follows = is_named(owner, one.user_id)
        found.append(follows)
    return found


def ids_of(owner: Owner, external_id: str | None) -> tuple[str, ...]:
    """Give the ways in which messages may write an owner's id."""
    plain, bare = str(owner.id), owner.id.hex
    written = [plain, bare, plain.upper(), bare.upper(), f"urn:uuid:{plain}"]
    return tuple(dict.fromkeys([*(one for one in (external_id, owner.external_id) if one), *written]))


def taken_at(claim: str) -> datetime | None:
    """Read the time of Redis at which a claim was taken; a claim of another kind has none."""
    found = _TAKEN_AT.search(claim)
    if found is None:
        return None
    return datetime.fromtimestamp(int(found[1]), UTC) + timedelta(microseconds=int(found[2]))


def without_company(raw: bytes) -> bytes:
    """Give an entry that names no company."""
    entry: Any = json.loads(raw)
    return json.dumps(
        {name: value for name, value in entry.items() if name != "company_id"}, ensure_ascii=False
    ).encode()


def owner_key(owner: Owner) -> tuple[str, UUID]:
    return owner.type, owner.id


def _id(value: object) -> str | None:
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        return None
    return str(value)


def _found(pattern: re.Pattern[bytes], raw: bytes) -> str | None:
    match = pattern.search(raw)
    return match[1].decode() if match else None
