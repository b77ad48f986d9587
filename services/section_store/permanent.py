"""Permanent values: in Postgres before they are acknowledged, and read from Redis while that is safe.

docs/decisions/0020-the-cache-is-never-behind.md says why no reader sees less than what was acknowledged.
"""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from time import monotonic
from typing import TypeVar
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from services.domain.errors import SectionsUnavailableError, TransientError, VersionConflictError
from services.domain.memories import Owner
from services.domain.sections import bucket_of
from services.postgres.database import Database, Tenant
from services.postgres.sections.values import CacheEpoch, Record, lock_values, try_lock_value
from services.section_store.cache import SectionCache, Slot
from services.section_store.counts import SectionCounts
from services.section_store.gate import Gate
from services.section_store.packing import entry_of, read_entry

Fetch = Callable[[AsyncSession, Collection[UUID]], Awaitable[Mapping[UUID, Record]]]
AnswerT = TypeVar("AnswerT")
# A writer that closes the cache again and again meets others that open it: somebody's Redis is another one.
_TRIES = 5
# How long reads leave a Redis alone that did not answer.
_REST_SECONDS = 0.5
# A mark so old is of a writer that is finished or dead, unless Postgres hangs: its lock tells.
_OLD_MARK_MS = 5_000


@dataclass(frozen=True, slots=True)
class Found:
    """What stood under each id; `fetched` came from Postgres."""

    records: dict[UUID, Record | None]
    fetched: frozenset[UUID]


@dataclass(frozen=True, slots=True)
class Writing:
    """What a write does: `check` and `change` run under the values' locks, one before they are marked, one after.

    `change` answers what stands afterwards; what it leaves out is fetched again by the next reader.
    """

    ids: Collection[UUID]
    change: Callable[[AsyncSession], Awaitable[Mapping[UUID, Record | None]]]
    check: Callable[[AsyncSession], Awaitable[None]] | None = None


class Permanent:
    """`has_written` says whether anything was ever written here."""

    def __init__(self, database: Database, cache: SectionCache, gate: Gate, counts: SectionCounts) -> None:
        self._database = database
        self._cache = cache
        self._gate = gate
        self._counts = counts
        self._rests_until = 0.0
        self.has_written = False

    async def read(self, owner: Owner, ids: Sequence[UUID], fetch: Fetch, *, is_prefetch: bool = False) -> Found:
        """Read values; raises `TransientError` where neither is there to answer."""
        epoch, slots = await self._slots(owner, ids, patiently=is_prefetch)
        if slots is None and is_prefetch:
            # The first look has begun the epoch in which this one finds its slots.
            epoch, slots = await self._slots(owner, ids, patiently=True)
        if epoch is None or slots is None:
            return await self._bypass(owner, ids, fetch, is_prefetch=is_prefetch)
        found = {one: read_entry(slot.entry) for one, slot in slots.items() if slot.entry is not None}
        if found and not await self._gate.holds(bucket_of(owner), epoch):
            return await self._bypass(owner, ids, fetch, is_prefetch=is_prefetch)
        missing = {one: slot for one, slot in slots.items() if slot.entry is None}
        if not is_prefetch:
            self._counts.add("hits", len(found))
            self._counts.add("prefetched_hits", sum(entry.is_prefetched for entry in found.values()))
        fetched = await self._fill(owner, epoch, missing, fetch, is_prefetch=is_prefetch) if missing else {}
        records: dict[UUID, Record | None] = {one: entry.record for one, entry in found.items()}
        return Found(records | fetched, frozenset(missing))

    async def write(self, owner: Owner, writing: Writing) -> Mapping[UUID, Record | None]:
        """Write values; when it returns they are in Postgres, and no reader of any process sees what was before.

        After a `TransientError` they may have been written or not; trying again is safe.
        """
        self.has_written = True
        for _ in range(_TRIES):
            try:
                return await self._try_to_write(owner, writing)
            except _MustCloseError as must:
                await self._gate.close(bucket_of(owner), must.epoch)
        raise TransientError("the cache is opened and closed at once: is there one Redis for all?")

    async def repair(self, owner: Owner, epoch: UUID, one: UUID, held: bytes, fetch: Fetch) -> bool:
        """Put what stands in place of a mark or an entry; False where a writer is at it, or it has changed."""
        async with self._database.transaction() as session:
            if not await try_lock_value(session, one):
                return False
            standing = (await fetch(session, [one])).get(one)
            return bool(await self._cache.put(owner, epoch, {one: (held, entry_of(standing))}))

    async def _slots(
        self, owner: Owner, ids: Sequence[UUID], *, patiently: bool
    ) -> tuple[UUID | None, dict[UUID, Slot] | None]:
        epoch = await self._gate.epoch(bucket_of(owner)) if monotonic() >= self._rests_until else None
        return epoch, await self._look(owner, epoch, ids, patiently=patiently) if epoch else None

    async def _look(
        self, owner: Owner, epoch: UUID, ids: Sequence[UUID], *, patiently: bool
    ) -> dict[UUID, Slot] | None:
        try:
            slots = await self._cache.look(owner, epoch, ids)
        except SectionsUnavailableError:
            self._rests_until = monotonic() + _REST_SECONDS
            return None
        if slots is None:
            await self._gate.begin_anew(bucket_of(owner), epoch, patiently=patiently)
            return None
        return dict(zip(ids, slots, strict=True))

    async def _bypass(self, owner: Owner, ids: Sequence[UUID], fetch: Fetch, *, is_prefetch: bool) -> Found:
        # Nobody reads what is prefetched yet.
        self._counts.add("bypassed", 0 if is_prefetch else len(ids))
        return Found(await self._fetch(owner, ids, fetch), frozenset(ids))

    async def _fetch(self, owner: Owner, ids: Collection[UUID], fetch: Fetch) -> dict[UUID, Record | None]:
        async with self._database.transaction(Tenant.of(owner)) as session:
            standing = await fetch(session, ids)
        return {one: standing.get(one) for one in ids}

    async def _fill(
        self, owner: Owner, epoch: UUID, missing: Mapping[UUID, Slot], fetch: Fetch, *, is_prefetch: bool
    ) -> dict[UUID, Record | None]:
        records = await self._fetch(owner, missing, fetch)
        mine = {one: slot.token for one, slot in missing.items() if slot.token is not None}
        self._counts.add("prefetched" if is_prefetch else "misses", len(mine))
        if not is_prefetch:
            self._counts.add("bypassed", len(missing) - len(mine))
        entries = {one: (token, entry_of(records[one], is_prefetched=is_prefetch)) for one, token in mine.items()}
        with suppress(TransientError):
            await self._cache.put(owner, epoch, entries)
            for one, slot in missing.items():
                if slot.mark is not None and slot.mark_age_ms > _OLD_MARK_MS:
                    await self.repair(owner, epoch, one, slot.mark, fetch)
        return records

    async def _try_to_write(self, owner: Owner, writing: Writing) -> Mapping[UUID, Record | None]:
        async with self._database.transaction(Tenant.of(owner)) as session:
            standing = await lock_values(session, bucket_of(owner), writing.ids)
            if writing.check is not None:
                await writing.check(session)
            mark = await self._mark(owner, standing, writing.ids)
            written = await writing.change(session)
        if mark is not None:
            entries = {one: (mark, entry_of(written[one]) if one in written else b"") for one in writing.ids}
            # The mark keeps readers away for as long as it stands: nobody has to wait until it is gone.
            with suppress(SectionsUnavailableError):
                await self._cache.put(owner, standing.epoch, entries)
        return written

    async def _mark(self, owner: Owner, standing: CacheEpoch, ids: Collection[UUID]) -> bytes | None:
        """Keep readers from the slots before the commit; None where nobody reads them anyway."""
        if standing.state == "closed":
            return None
        try:
            return await self._cache.mark(owner, standing.epoch, list(ids))
        except SectionsUnavailableError:
            raise _MustCloseError(standing.epoch) from None


class _MustCloseError(Exception):
    """Redis cannot be told of a write: the cache must be closed for it."""

    def __init__(self, epoch: UUID) -> None:
        super().__init__()
        self.epoch = epoch


def check_version(current: Record | None, wanted: int | None) -> None:
    """Raise `VersionConflictError` where another version stands than is `wanted`; None takes any, 0 takes none."""
    standing = current.version if current else 0
    if wanted is not None and wanted != standing:
        raise VersionConflictError(standing)
