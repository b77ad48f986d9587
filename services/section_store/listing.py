"""Lists what an owner has, and says how much it is."""

from collections.abc import Iterable

from services.domain.errors import InvalidInputError, SectionsUnavailableError
from services.domain.memories import Owner
from services.domain.sections import LEVELS, Name, Section
from services.postgres.database import Database, Tenant
from services.postgres.sections.sizes import sizes
from services.section_store.results import KeyOf, Page, SectionSize, StorageStats, Value
from services.section_store.sessions import Sessions
from services.section_store.temporaries import Temporaries
from services.section_store.values import Values

MOST_LISTED = 1_000


class Listing:
    def __init__(self, database: Database, values: Values, sessions: Sessions, temporaries: Temporaries) -> None:
        self._database = database
        self._values = values
        self._sessions = sessions
        self._temporaries = temporaries

    async def page(
        self,
        owner: Owner,
        section: Section,
        namespace: str,
        *,
        session_id: str | None,
        prefix: str,
        after: str,
        limit: int,
    ) -> Page[KeyOf]:
        if not 1 <= limit <= MOST_LISTED:
            raise InvalidInputError("limit", f"1 to {MOST_LISTED}")
        if LEVELS[section] == "permanent":
            found = await self._values.listed(
                owner, section=section, namespace=namespace, prefix=prefix, after=after, limit=limit + 1
            )
            keys = [KeyOf(one.name.key, one.version, one.raw_size, one.stored_size, one.updated_at) for one in found]
        else:
            names = await self._in_redis(owner, section, session_id)
            wanted = (name for name in names if name.namespace == namespace and name.key.startswith(prefix))
            chosen = sorted((name for name in wanted if name.key > after), key=lambda name: name.key)[: limit + 1]
            keys = [_key(value) for name in chosen if (value := await self._read(owner, session_id, name))]
        return Page(tuple(keys[:limit]), keys[limit - 1].key if len(keys) > limit else None)

    async def stats(self, owner: Owner) -> StorageStats:
        async with self._database.transaction(Tenant.of(owner)) as session:
            kept = await sizes(session, owner)
        sections = [
            SectionSize(one.section, LEVELS[one.section], one.values, one.raw_bytes, one.stored_bytes) for one in kept
        ]
        try:
            sessions = await self._sessions.ids(owner)
            state = [value for one in sessions for value in (await self._sessions.all_of(owner, one)).values()]
            names = await self._temporaries.names(owner)
            passing = [value for name in names if (value := await self._temporaries.get(owner, name))]
        except SectionsUnavailableError:
            return StorageStats(tuple(sections), None)
        sections += [*_size("session_state", state), *_size("temporary", passing)]
        return StorageStats(tuple(sections), sum(one is not None for one in sessions))

    async def _in_redis(self, owner: Owner, section: Section, session_id: str | None) -> Iterable[Name]:
        if section == "temporary":
            return await self._temporaries.names(owner)
        return await self._sessions.all_of(owner, session_id)

    async def _read(self, owner: Owner, session_id: str | None, name: Name) -> Value | None:
        if name.section == "temporary":
            return await self._temporaries.get(owner, name)
        return await self._sessions.get(owner, session_id, name)


def _key(value: Value) -> KeyOf:
    return KeyOf(value.key, value.version, value.raw_size, value.stored_size, value.updated_at)


def _size(section: Section, values: list[Value]) -> list[SectionSize]:
    if not values:
        return []
    raw, stored = sum(one.raw_size for one in values), sum(one.stored_size for one in values)
    return [SectionSize(section, LEVELS[section], len(values), raw, stored)]
