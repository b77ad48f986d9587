"""What the memory API answers about the section store."""

from datetime import datetime

from pydantic import JsonValue

from afterturn_client.answers import ApiAnswer


class SectionValue(ApiAnswer):
    """A value under its key. `version` is for `if_version`, 0 where only Redis keeps it, until `expires_at`."""

    section: str
    namespace: str
    key: str
    value: JsonValue
    version: int
    updated_at: datetime
    expires_at: datetime | None = None


class StoredFact(ApiAnswer):
    key: str
    version: int


class StoredFacts(ApiAnswer):
    facts: tuple[StoredFact, ...]


class FactHit(ApiAnswer):
    key: str
    namespace: str
    value: JsonValue
    version: int
    score: float


class FoundFacts(ApiAnswer):
    """The best first."""

    facts: tuple[FactHit, ...]


class SectionKey(ApiAnswer):
    key: str
    version: int
    raw_bytes: int
    stored_bytes: int
    updated_at: datetime


class KeyPage(ApiAnswer):
    """Some keys, without what they hold; `next_cursor` asks for the next ones."""

    keys: tuple[SectionKey, ...]
    next_cursor: str | None = None


class AddedCommand(ApiAnswer):
    id: str
    session_id: str | None = None
    added_at: datetime


class Command(AddedCommand):
    command: JsonValue


class CommandPage(ApiAnswer):
    """Some commands, the newest first; `next_cursor` asks for the next ones."""

    commands: tuple[Command, ...]
    next_cursor: str | None = None


class EndedSession(ApiAnswer):
    values: int


class SectionSize(ApiAnswer):
    """Bytes are of JSON, before compression and after it."""

    section: str
    level: str
    values: int
    raw_bytes: int
    stored_bytes: int


class StorageStats(ApiAnswer):
    """What an owner has stored; `sessions` is None, and what Redis alone knows is left out, while Redis is away."""

    sections: tuple[SectionSize, ...]
    sessions: int | None = None
