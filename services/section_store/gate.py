"""Says whether the cache may be read now, and closes it where a writer cannot reach Redis.

docs/decisions/0020-the-cache-is-never-behind.md says why this is right.
"""

import asyncio
import time
from uuid import UUID, uuid4

from services.domain.errors import SectionsUnavailableError, TransientError
from services.domain.sections import BUCKETS
from services.postgres.database import Database
from services.postgres.sections.values import CacheEpoch, begin_epoch, epochs, lock_bucket, set_state
from services.section_store.cache import SectionCache

# So much longer than anybody trusts, a writer waits: clocks of two machines do not run alike.
_LONGER = 1.25
# Times as long a bucket stays closed: a writer whom Redis does not answer must come to write in it.
_REST = 5
_TRY_AGAIN_SECONDS = 1.0


class Gate:
    """One for each process; `trust_seconds` must be the same in all."""

    def __init__(self, database: Database, cache: SectionCache, *, trust_seconds: float) -> None:
        self._database = database
        self._cache = cache
        self._trust_seconds = trust_seconds
        self._confirmed_at = float("-inf")
        self._begun = 0
        self._epochs: dict[int, CacheEpoch] = {}
        self._confirming = asyncio.Lock()
        self._opening: dict[int, asyncio.Lock] = {bucket: asyncio.Lock() for bucket in range(BUCKETS)}
        self._tried_at: dict[int, float] = {}

    async def epoch(self, bucket: int) -> UUID | None:
        """Give the epoch in which the bucket may be read now; None while it may not.

        Raises `TransientError` where Postgres does not confirm it.
        """
        await self._confirm()
        found = self._epochs[bucket]
        if found.state == "open":
            return found.epoch
        if found.resting_seconds > self._trust_seconds * _REST and self._may_try(bucket):
            await self._reopen(bucket, found.epoch)
        return None

    async def holds(self, bucket: int, epoch: UUID) -> bool:
        """Tell whether what was found in the epoch is still to be trusted: ask when it has been found."""
        await self._confirm()
        found = self._epochs[bucket]
        return found.state == "open" and found.epoch == epoch

    async def begin_anew(self, bucket: int, over: UUID, *, patiently: bool = False) -> None:
        """Begin an epoch in place of one that Redis has forgotten; whoever comes first does it for all.

        Others do not wait for it, unless they do so `patiently`.
        """
        if patiently or self._may_try(bucket):
            await self._reopen(bucket, over)

    async def close(self, bucket: int, epoch: UUID) -> None:
        """Return when no process reads the epoch's entries any more, wherever it runs and whatever it reaches."""
        async with self._database.transaction() as session:
            await set_state(session, bucket, epoch, was="open", now="closing")
        # Whoever confirmed the epoch before that commit trusts it no longer than this.
        await asyncio.sleep(self._trust_seconds * _LONGER)
        async with self._database.transaction() as session:
            await set_state(session, bucket, epoch, was="closing", now="closed")

    async def end_epoch(self, bucket: int) -> None:
        """Forget all that is cached of a bucket, now and in every process; needs Redis."""
        async with self._database.transaction() as session:
            standing = await lock_bucket(session, bucket)
            begun = uuid4()
            await self._cache.begin(bucket, standing.epoch, begun)
            await begin_epoch(session, bucket, begun)
        self._ask_again()

    async def standing(self) -> dict[int, CacheEpoch]:
        """Give all epochs as Postgres has them now."""
        async with self._database.transaction() as session:
            return await epochs(session)

    async def _confirm(self) -> None:
        if _now() - self._confirmed_at < self._trust_seconds:
            return
        async with self._confirming:
            if _now() - self._confirmed_at < self._trust_seconds:
                return
            # Before it is asked: what commits while the answer is on its way is not in it.
            asked_at, begun = _now(), self._begun
            self._epochs = await self.standing()
            if begun == self._begun:
                self._confirmed_at = asked_at

    def _ask_again(self) -> None:
        """Trust no answer any more that was asked for before now: an epoch has begun here."""
        self._begun += 1
        self._confirmed_at = float("-inf")

    def _may_try(self, bucket: int) -> bool:
        """Let one in, and that not all the time: Redis may be away."""
        now = _now()
        if self._opening[bucket].locked() or now - self._tried_at.get(bucket, float("-inf")) < _TRY_AGAIN_SECONDS:
            return False
        self._tried_at[bucket] = now
        return True

    async def _reopen(self, bucket: int, seen: UUID) -> None:
        """Give a bucket a new epoch. An old one is never taken up again: it may have missed a write."""
        async with self._opening[bucket]:
            if not await self._cache.is_there():
                return
            try:
                async with self._database.transaction() as session:
                    # No writer is between its mark and its commit now; those who come mark in the new epoch.
                    standing = await lock_bucket(session, bucket)
                    if standing.epoch != seen:
                        return
                    begun = uuid4()
                    await self._cache.begin(bucket, seen, begun)
                    await begin_epoch(session, bucket, begun)
            except (SectionsUnavailableError, TransientError):
                return
            finally:
                self._ask_again()


def _now() -> float:
    """Tell the time since this machine started; it does not stand still while the machine sleeps."""
    if hasattr(time, "CLOCK_BOOTTIME"):
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    return time.monotonic()
