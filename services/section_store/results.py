"""What the section store answers."""

from dataclasses import dataclass
from datetime import datetime
from typing import Generic, TypeVar
from uuid import UUID

from pydantic import JsonValue

from services.domain.sections import Level, Section

ItemT = TypeVar("ItemT")


@dataclass(frozen=True, slots=True)
class Value:
    """A value and what is known of it.

    `version` is a permanent value's, and is what `if_version` is compared with; 0 at the other levels. Sizes are in
    bytes, before compression and after it. `expires_at` is when a session's or temporary value ends by itself.
    """

    section: Section
    namespace: str
    key: str
    value: JsonValue
    version: int
    updated_at: datetime
    raw_size: int
    stored_size: int
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class KeyOf:
    """A value in a list, without what it says."""

    key: str
    version: int
    raw_size: int
    stored_size: int
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class FoundFact:
    key: str
    namespace: str
    value: JsonValue
    version: int
    score: float


@dataclass(frozen=True, slots=True)
class Command:
    """A command that was given. `id` is the caller's own where it gave one: the same one is added once."""

    id: UUID
    command: JsonValue
    session_id: str | None
    added_at: datetime
    seq: int


@dataclass(frozen=True, slots=True)
class Page(Generic[ItemT]):
    """`cursor` asks for the next page; None where this is the last one."""

    items: tuple[ItemT, ...]
    cursor: str | None


@dataclass(frozen=True, slots=True)
class SectionSize:
    section: Section
    level: Level
    values: int
    raw_bytes: int
    stored_bytes: int


@dataclass(frozen=True, slots=True)
class StorageStats:
    """What one owner has stored. `sections` leaves out what only Redis knows where Redis is away."""

    sections: tuple[SectionSize, ...]
    sessions: int | None
