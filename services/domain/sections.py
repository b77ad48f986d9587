"""What the section store keeps, how long, and what its parts are called."""

import re
from dataclasses import dataclass
from typing import Literal, get_args
from uuid import UUID

from services.domain.errors import InvalidInputError
from services.domain.ids import derived_id
from services.domain.memories import Owner

Section = Literal["user_preferences", "session_state", "command_history", "facts", "temporary"]
Level = Literal["temporary", "session", "permanent"]

SECTIONS: tuple[Section, ...] = get_args(Section)
LEVELS: dict[Section, Level] = {
    "user_preferences": "permanent",
    "facts": "permanent",
    "command_history": "permanent",
    "session_state": "session",
    "temporary": "temporary",
}
DEFAULT_NAMESPACE = "default"
# What models keep by the agent tools: nothing that an application keeps is overwritten there.
AGENT_NAMESPACE = "agent"
MAX_KEY = 255
BUCKETS = 64
_NAMESPACE = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}")
_SESSION = re.compile(r"[A-Za-z0-9_.:-]{1,200}")


@dataclass(frozen=True, slots=True)
class Name:
    """What one value is called within its owner. A plugin has a namespace of its own."""

    section: Section
    key: str
    namespace: str = DEFAULT_NAMESPACE


def check_name(section: str, key: str, namespace: str = DEFAULT_NAMESPACE) -> Name:
    """Give a name; raise `InvalidInputError` naming what is wrong with it."""
    for known in SECTIONS:
        if section == known:
            return Name(known, _check_key(key), check_namespace(namespace))
    raise InvalidInputError("section", ", ".join(SECTIONS))


def check_namespace(namespace: str) -> str:
    if not _NAMESPACE.fullmatch(namespace):
        raise InvalidInputError("namespace", "lower-case letters, digits and _ . -, 64 at most")
    return namespace


def check_session(session_id: str) -> str:
    if not _SESSION.fullmatch(session_id):
        raise InvalidInputError("session_id", "letters, digits and _ . : -, 200 at most")
    return session_id


def _check_key(key: str) -> str:
    if not 0 < len(key) <= MAX_KEY or not key.isprintable():
        raise InvalidInputError("key", f"1 to {MAX_KEY} printable characters")
    return key


def value_id(owner: Owner, name: Name) -> UUID:
    """Name a value in tables and caches: keys of Redis show no name that an application chose."""
    return derived_id(f"section\n{owner.type}\n{owner.id}\n{name.section}\n{name.namespace}\n{name.key}")


def history_id(owner: Owner, namespace: str, session_id: str | None) -> UUID:
    """Name a history of commands: a session's, or without one the owner's."""
    return derived_id(f"history\n{owner.type}\n{owner.id}\n{namespace}\n{session_id or ''}")


def bucket_of(owner: Owner) -> int:
    """Tell which part of the cache is the owner's."""
    return owner.id.bytes[15] % BUCKETS
