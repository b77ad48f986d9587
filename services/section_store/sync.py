"""Compares Redis with Postgres, both ways, and mends what differs."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from afterturn_client.redis_connection import AnyRedis
from sqlalchemy.ext.asyncio import AsyncSession

from services.domain.errors import InvalidInputError
from services.postgres.database import Database
from services.postgres.sections.history import last_commands
from services.postgres.sections.values import CacheEpoch, epochs, records, try_lock_value
from services.section_store.cache import SectionCache, unavailable
from services.section_store.counts import SectionCounts
from services.section_store.facts import Facts
from services.section_store.keys import bucket_of_key, every_key, read_marker_key, read_slot_key
from services.section_store.packing import read_entry
from services.section_store.scanning import scan_page

# So few that a model may be late with every one of them, and the page is still done in time.
_MOST_EMBEDDED = 32


@dataclass(frozen=True, slots=True)
class SyncPage:
    """What one page of `sync` found and mended; `cursor` asks for the next, None where this was the last.

    `stale` entries differed from Postgres: there should never be one. `marks` were left by writers that died, `ended`
    are keys of epochs that are over. Facts have got `embedded` vectors that they lacked, and `dropped` are those of
    models that are written no more.
    """

    cursor: str | None
    checked: int = 0
    stale: int = 0
    marks: int = 0
    ended: int = 0
    embedded: int = 0
    dropped: int = 0


@dataclass(frozen=True, slots=True)
class _Slot:
    key: str
    value: UUID
    held: bytes

    @property
    def version(self) -> int | None:
        """The version of an entry; None of a mark."""
        return read_entry(self.held).version if self.held[:1] == b"e" else None


class Sync:
    def __init__(
        self, redis: AnyRedis, database: Database, cache: SectionCache, facts: Facts, counts: SectionCounts
    ) -> None:
        self._redis = redis
        self._database = database
        self._cache = cache
        self._facts = facts
        self._counts = counts

    async def page(self, cursor: str | None, *, limit: int) -> SyncPage:
        """Go through what Redis has of Postgres' values, facts that lack a vector, and vectors of former models."""
        step, _, at = (cursor or "redis:").partition(":")
        if step == "redis":
            return await self._redis_page(at, limit)
        if step == "facts":
            embedded, last = await self._facts.embed_missing(UUID(at) if at else None, min(limit, _MOST_EMBEDDED))
            return SyncPage(f"facts:{last}" if last else "vectors:", embedded=embedded)
        if step == "vectors":
            dropped = await self._facts.drop_others(limit)
            return SyncPage("vectors:" if dropped == limit else None, dropped=dropped)
        raise InvalidInputError("cursor", "what the page before answered")

    async def _redis_page(self, at: str, limit: int) -> SyncPage:
        following, keys = await scan_page(self._redis, at, every_key(), limit)
        async with self._database.transaction() as session:
            standing = await epochs(session)
        over = [key for key in keys if _is_over(key, standing)]
        slots = await self._held([key for key in keys if read_slot_key(key) and key not in set(over)])
        versions = await self._versions([slot.value for slot in slots])
        marks = stale = 0
        for slot in slots:
            if slot.version is None or slot.version != versions.get(slot.value, 0):
                mended = await self._mend(slot)
                marks += mended and slot.version is None
                stale += mended and slot.version is not None
        for key in over:
            with unavailable():
                await self._redis.unlink(key)
        self._counts.add("stale_repaired", stale)
        await self._counts.save(self._database)
        cursor = f"redis:{following}" if following else "facts:"
        return SyncPage(cursor, checked=len(slots), stale=stale, marks=marks, ended=len(over))

    async def _held(self, keys: list[str]) -> list[_Slot]:
        found = []
        for key in keys:
            slot = read_slot_key(key)
            with unavailable():
                held: Any = await self._redis.get(key)
            if slot and held and held[:1] in b"em":
                found.append(_Slot(key, slot[1], held))
        return found

    async def _versions(self, values: list[UUID]) -> dict[UUID, int]:
        async with self._database.transaction() as session:
            return await _versions(session, values)

    async def _mend(self, slot: _Slot) -> bool:
        """Empty a slot that is wrong while nobody writes the value; a writer at work mends it itself."""
        async with self._database.transaction() as session:
            if not await try_lock_value(session, slot.value):
                return False
            versions = await _versions(session, [slot.value])
            if slot.version is not None and slot.version == versions.get(slot.value, 0):
                return False
            return await self._cache.empty(slot.key, slot.held)


async def _versions(session: AsyncSession, values: list[UUID]) -> dict[UUID, int]:
    standing = {value: record.version for value, record in (await records(session, values)).items()}
    return standing | await last_commands(session, values)


def _is_over(key: str, standing: Mapping[int, CacheEpoch]) -> bool:
    """Tell whether a slot or a marker is of an epoch that has ended."""
    bucket = bucket_of_key(key)
    if bucket is None or bucket not in standing:
        return False
    slot = read_slot_key(key)
    epoch = slot[0] if slot else read_marker_key(key)
    return epoch is not None and epoch != standing[bucket].epoch
