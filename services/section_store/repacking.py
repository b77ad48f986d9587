"""Compresses what is kept uncompressed though it is large: written under other settings, or by other versions.

Nobody can tell by reading: values, versions and times stay. Whoever writes meanwhile wins, for only what was read is
replaced, in Postgres as in Redis.
"""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from afterturn_client.redis_connection import AnyRedis

from services.domain.errors import InvalidInputError
from services.postgres.database import Database
from services.postgres.sections.unpacked import Kept, as_stored, store_packed, unpacked
from services.section_store.cache import script, unavailable
from services.section_store.keys import every_key, holds_entries
from services.section_store.packing import Packing
from services.section_store.scanning import scan_page

_FIRST = UUID(int=0)
_VALUES, _COMMANDS, _REDIS = "values:", "commands:", "redis:"


@dataclass(frozen=True, slots=True)
class PackedPage:
    """How many one page of `pack` has compressed, and the bytes that it saved by that.

    `cursor` asks for the next page, None where this was the last.
    """

    cursor: str | None
    packed: int = 0
    saved_bytes: int = 0


class Repacking:
    def __init__(self, redis: AnyRedis, database: Database, packing: Packing) -> None:
        self._redis = redis
        self._database = database
        self._packing = packing

    async def page(self, cursor: str | None, *, limit: int) -> PackedPage:
        """Go through values and commands in Postgres, then through what Redis has: cached, of sessions, temporary."""
        step, _, at = (cursor or _VALUES).partition(":")
        if step == "values":
            return await self._postgres_page("values", at, limit, then=_COMMANDS)
        if step == "commands":
            return await self._postgres_page("commands", at, limit, then=_REDIS)
        if step == "redis":
            return await self._redis_page(at, limit)
        raise InvalidInputError("cursor", "what the page before answered")

    async def _postgres_page(self, kept: Kept, at: str, limit: int, *, then: str) -> PackedPage:
        above, after = self._packing.compress_above, UUID(at) if at else _FIRST
        async with self._database.transaction() as session:
            large, last = await unpacked(session, kept, above=above, after=after, limit=limit)
        saved = [await self._pack_row(kept, one) for one in large]
        return PackedPage(f"{kept}:{last}" if last else then, sum(one > 0 for one in saved), sum(saved))

    async def _pack_row(self, kept: Kept, one: UUID) -> int:
        """Compress a row; answer how many bytes that saved. Each is a transaction: no writer waits for two."""
        async with self._database.transaction() as session:
            stored = await as_stored(session, kept, one)
            packed = await asyncio.to_thread(self._packing.compressed, stored) if stored else None
            if stored is None or packed is None or not await store_packed(session, kept, one, stored, packed):
                return 0
        return len(stored.data) - len(packed.data)

    async def _redis_page(self, at: str, limit: int) -> PackedPage:
        following, keys = await scan_page(self._redis, at, every_key(), limit)
        saved = [await self._pack_entry(*one) for key in keys async for one in self._entries(key)]
        return PackedPage(f"{_REDIS}{following}" if following else None, sum(one > 0 for one in saved), sum(saved))

    async def _entries(self, key: str) -> AsyncIterator[tuple[str, bytes, bytes]]:
        """Give what a key holds as key, field and entry; a session's values one by one."""
        kind = holds_entries(key)
        with unavailable():
            if kind == "one":
                held: Any = await self._redis.get(key)
                yield key, b"", held or b""
            if kind == "by_field":
                found: Any = self._redis.hscan_iter(key, count=20)
                async for field, entry in found:
                    yield key, field, entry

    async def _pack_entry(self, key: str, field: bytes, held: bytes) -> int:
        entry = await asyncio.to_thread(self._packing.compressed_entry, held)
        if entry is None:
            return 0
        with unavailable():
            done = await script("pack").run(self._redis, [key], [field, held, entry])
        return len(held) - len(entry) if done else 0
