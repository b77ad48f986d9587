"""The ids of rooms and people, and the Redis keys of a room.

All keys of a room hash to one cluster slot: the buffer's name holds no brace, and the others carry it as their hash
tag. A room id may hold `:messages` itself: exactly one such ending is the key's own, so a key belongs to one room only.
"""

import re

from afterturn_client.errors import InvalidFieldError

MAX_ID_LENGTH = 200
ID_PATTERN = r"^[A-Za-z0-9_.:-]{1,200}$"
ROOM_ID_PATTERN = r"^(user|room):[A-Za-z0-9_.:-]{1,195}$"
ID_TAKES = "1 to 200 letters, digits and _ . : -"
ROOM_ID_TAKES = "user:{user_id} or room:{name}, at most 200 letters, digits and _ . : -"
CLAIM_NAME_TAKES = "1 to 100 letters, digits and _ . -"

_SUFFIX = ":messages"
_ID = re.compile(ID_PATTERN.removesuffix("$"))
_ROOM_ID = re.compile(ROOM_ID_PATTERN.removesuffix("$"))
_CLAIM_NAME = re.compile(r"[A-Za-z0-9_.-]{1,100}")
_TAGGED_KEY = re.compile(r"\{([^{}]*)\}:(?:pointer|wake|claim:[A-Za-z0-9_.-]{1,100})")


def is_id(text: str) -> bool:
    return _ID.fullmatch(text) is not None


def is_room_id(text: str) -> bool:
    return _ROOM_ID.fullmatch(text) is not None


def check_id(field: str, value: str) -> None:
    """Refuse what is no id of a user, a company or a message."""
    if not is_id(value):
        raise InvalidFieldError(field, ID_TAKES)


def check_room_id(room_id: str) -> None:
    if not is_room_id(room_id):
        raise InvalidFieldError("room_id", ROOM_ID_TAKES)


def check_claim_name(name: str) -> None:
    if _CLAIM_NAME.fullmatch(name) is None:
        raise InvalidFieldError("name", CLAIM_NAME_TAKES)


def user_of_room(room_id: str) -> str | None:
    """Return the person whose own room this is."""
    return room_id.removeprefix("user:") if is_room_id(room_id) and room_id.startswith("user:") else None


def buffer_key(room_id: str) -> str:
    check_room_id(room_id)
    return room_id + _SUFFIX


def pointer_key(room_id: str) -> str:
    return f"{{{buffer_key(room_id)}}}:pointer"


def wake_key(room_id: str) -> str:
    return f"{{{buffer_key(room_id)}}}:wake"


def claim_key(room_id: str, name: str) -> str:
    check_claim_name(name)
    return claim_prefix(room_id) + name


def claim_prefix(room_id: str) -> str:
    return f"{{{buffer_key(room_id)}}}:claim:"


def claim_of_key(key: str) -> str | None:
    """Return the claim's name where the key is a claim of a valid room."""
    return key.partition("}:claim:")[2] or None if key.startswith("{") and room_of_key(key) else None


def room_of_buffer(key: str) -> str | None:
    """Return the room whose buffer this key is, or None where the key is none or its id is not valid."""
    room_id = key.removesuffix(_SUFFIX)
    return room_id if room_id != key and is_room_id(room_id) else None


def room_of_key(key: str) -> str | None:
    """Return the room that any key (buffer, claim, pointer, wake mark) belongs to."""
    tagged = _TAGGED_KEY.fullmatch(key)
    return room_of_buffer(tagged[1] if tagged else key)
