"""Ids that are derived, so that a retry finds what the first try wrote."""

from hashlib import sha1
from uuid import UUID

NAMESPACE = UUID("6c1d5f0e-63d4-5a5e-9a0b-6f1c0a7e4d11")


def derived_id(name: str) -> UUID:
    """Do as `uuid.uuid5` in our namespace, in half the time: several ids are derived for every message."""
    digest = sha1(NAMESPACE.bytes + name.encode(), usedforsecurity=False).digest()
    return UUID(bytes=digest[:16], version=5)


def message_id(claim: str, position: int) -> str:
    """Name a message that came without an id: the same entry of the same claim always gets the same."""
    return str(derived_id(f"entry\n{claim}\n{position}"))


def message_uid(room_id: str, message_id: str) -> UUID:
    return derived_id(f"message\n{room_id}\n{message_id}")


def chunk_id(room_id: str, first_seq: int, last_seq: int) -> UUID:
    return derived_id(f"chunk\n{room_id}\n{first_seq}\n{last_seq}")


def summary_id(chunk: UUID, kind: str, prompt_version: str, model: str) -> UUID:
    return derived_id(f"summary\n{chunk}\n{kind}\n{prompt_version}\n{model}")


def quarantine_id(source: str, position: int) -> UUID:
    """Name what is quarantined by where it was found: `source` is a claim, a key with a run, or a chunk's id."""
    return derived_id(f"quarantine\n{source}\n{position}")
