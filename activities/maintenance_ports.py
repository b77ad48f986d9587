"""What maintenance asks of the section store, and of the archive."""

from collections.abc import Mapping
from typing import Protocol


class SectionsCleanedUp(Protocol):
    @property
    def commands(self) -> int: ...
    @property
    def sessions(self) -> int: ...
    @property
    def temporaries(self) -> int: ...
    @property
    def more(self) -> bool: ...


class SectionsSynced(Protocol):
    @property
    def cursor(self) -> str | None: ...
    @property
    def checked(self) -> int: ...
    @property
    def stale(self) -> int: ...
    @property
    def marks(self) -> int: ...
    @property
    def ended(self) -> int: ...
    @property
    def embedded(self) -> int: ...
    @property
    def dropped(self) -> int: ...


class SectionsPacked(Protocol):
    @property
    def cursor(self) -> str | None: ...
    @property
    def packed(self) -> int: ...
    @property
    def saved_bytes(self) -> int: ...


class SectionUpkeep(Protocol):
    async def clean_up(self, *, limit: int) -> SectionsCleanedUp:
        """Delete what has ended, `limit` commands at most; `more` says that there is more to delete."""

    async def expire_commands(self, days: int, *, limit: int) -> int:
        """Delete commands past their retention, `limit` at most; answer how many."""

    async def sync(self, cursor: str | None, *, limit: int) -> SectionsSynced:
        """Compare the next page of the cache with Postgres, and mend it; the cursor is None after the last."""

    async def pack(self, cursor: str | None, *, limit: int) -> SectionsPacked:
        """Compress what the next page keeps as it is though it is large; the cursor is None after the last."""


class MessagesExpired(Protocol):
    @property
    def next_after(self) -> str | None: ...
    @property
    def removed(self) -> Mapping[str, int]: ...


class MessageUpkeep(Protocol):
    async def expire_page(self, after: str) -> MessagesExpired:
        """Erase messages past their retention from rooms that come after this one; `next_after` is None at the end."""
