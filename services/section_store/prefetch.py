"""Brings into Redis what a session will likely read, when its first turn arrives."""

import time
from collections.abc import Collection, Mapping, Sequence
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from services.domain.memories import Owner
from services.domain.sections import DEFAULT_NAMESPACE, Name, check_name, value_id
from services.postgres.database import Database, Tenant
from services.postgres.sections.sizes import is_anything_kept
from services.postgres.sections.values import Record, recently_written, records
from services.section_store.cache import SectionCache
from services.section_store.history import History
from services.section_store.permanent import Permanent

# A session that goes on for longer is warmed again: what was cached may have ended.
_AGAIN_SECONDS = 3_600
_MOST_AT_ONCE = 200
# Most installations store nothing here: so long it is not asked again whether this one does.
_NOTHING_SECONDS = 60.0


class Prefetch:
    def __init__(self, database: Database, cache: SectionCache, permanent: Permanent, history: History) -> None:
        self._database = database
        self._cache = cache
        self._permanent = permanent
        self._history = history
        self._nothing_until = 0.0
        self._something_is_kept = False

    async def warm(self, owner: Owner, session_id: str, *, limit: int) -> int:
        if not await self._is_anything_kept():
            return 0
        noted = await self._cache.begin_warming(owner, session_id, limit, again_seconds=_AGAIN_SECONDS)
        if noted is None:
            return 0
        names = await self._likely_read(owner, [_name(one) for one in noted], limit)
        if names is None:
            return 0
        lists = self._history.lists(owner, DEFAULT_NAMESPACE, (None, session_id))

        async def fetch(session: AsyncSession, ids: Collection[UUID]) -> Mapping[UUID, Record]:
            found = await records(session, [one for one in ids if one not in lists])
            for one in ids:
                if one in lists:
                    found |= await lists[one](session, [one])
            return found

        wanted = [*lists, *(value_id(owner, name) for name in names)]
        for start in range(0, len(wanted), _MOST_AT_ONCE):
            await self._permanent.read(owner, wanted[start : start + _MOST_AT_ONCE], fetch, is_prefetch=True)
        return len(names)

    async def _likely_read(self, owner: Owner, noted: Sequence[Name], limit: int) -> list[Name] | None:
        """Give what was read last, then what was written last; None where the owner has nothing at all."""
        if len(noted) >= limit:
            return list(noted)
        async with self._database.transaction(Tenant.of(owner)) as session:
            names = list(dict.fromkeys([*noted, *await recently_written(session, owner, limit)]))[:limit]
            return names if names or await is_anything_kept(session, owner) else None

    async def _is_anything_kept(self) -> bool:
        if self._something_is_kept or self._permanent.has_written:
            return True
        if time.monotonic() >= self._nothing_until:
            async with self._database.transaction() as session:
                self._something_is_kept = await is_anything_kept(session)
            self._nothing_until = time.monotonic() + _NOTHING_SECONDS
        return self._something_is_kept


def _name(noted: str) -> Name:
    section, namespace, key = noted.split("\n", 2)
    return check_name(section, key, namespace)
