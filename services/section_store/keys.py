"""The section store's keys in Redis. All of an owner's hash to one slot, with the markers of its bucket."""

from hashlib import blake2b
from typing import Literal
from uuid import UUID

from services.domain.memories import Owner
from services.domain.sections import BUCKETS, bucket_of

# No application chooses any part of a key: it may show a name, or look like a room's buffer.
_DIGEST = 16
_MARKER_PARTS, _SLOT_PARTS = 4, 7
_KIND = 4


def marker_key(bucket: int, epoch: UUID) -> str:
    return f"section:{{section{bucket}}}:open:{epoch}"


def read_marker_key(key: str) -> UUID | None:
    """Give the epoch that a marker is of; None for another key."""
    parts = key.split(":")
    return UUID(parts[3]) if len(parts) == _MARKER_PARTS and parts[2] == "open" else None


def owner_prefix(owner: Owner) -> str:
    return f"section:{{section{bucket_of(owner)}}}:{owner.type}:{owner.id}:"


def slot_key(owner: Owner, epoch: UUID, value: UUID) -> str:
    return f"{owner_prefix(owner)}cached:{epoch}:{value}"


def read_slot_key(key: str) -> tuple[UUID, UUID] | None:
    """Give the epoch and the value of a slot; None for another key."""
    parts = key.split(":")
    return (UUID(parts[5]), UUID(parts[6])) if len(parts) == _SLOT_PARTS and parts[4] == "cached" else None


def session_key(owner: Owner, session_id: str | None) -> str:
    """Name a session's values; without an id those that all sessions of the owner share."""
    return f"{owner_prefix(owner)}session:{_digest(session_id) if session_id is not None else 'shared'}"


def sessions_key(owner: Owner) -> str:
    """Name the list of the owner's sessions, by when they end."""
    return f"{owner_prefix(owner)}sessions"


def temporary_key(owner: Owner, value: UUID) -> str:
    return f"{owner_prefix(owner)}temporary:{value}"


def temporaries_key(owner: Owner) -> str:
    """Name the list of the owner's temporary values, by when they end."""
    return f"{owner_prefix(owner)}temporaries"


def recent_key(owner: Owner) -> str:
    """Name the list of what was read of the owner's, by when it was last fetched from Postgres."""
    return f"{owner_prefix(owner)}recent"


def warmed_key(owner: Owner, session_id: str) -> str:
    return f"{owner_prefix(owner)}warmed:{_digest(session_id)}"


def every_key() -> str:
    return "section:{section*}:*"


def holds_entries(key: str) -> Literal["one", "by_field"] | None:
    """Tell whether a key holds an entry, or those of a session by their fields; None for another key."""
    parts = key.split(":")
    kind = parts[_KIND] if len(parts) > _KIND else ""
    return "by_field" if kind == "session" else "one" if kind in ("cached", "temporary") else None


def every_list(kind: str) -> str:
    """Match the owners' lists of `sessions` or `temporaries`."""
    return f"section:{{section*}}:*:{kind}"


def bucket_of_key(key: str) -> int | None:
    number = key.partition("{section")[2].partition("}")[0]
    return int(number) if number.isdecimal() and int(number) < BUCKETS else None


def _digest(text: str) -> str:
    return blake2b(text.encode(), digest_size=_DIGEST).hexdigest()
