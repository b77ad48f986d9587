"""Preferences and facts: permanent values by name."""

from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from time import time
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from services.domain.errors import InvalidInputError, SectionsUnavailableError
from services.domain.memories import Owner
from services.domain.sections import Name, value_id
from services.postgres.database import Database, Tenant
from services.postgres.sections.values import Listed, Put, Record, listed, put, records
from services.section_store.cache import SectionCache
from services.section_store.packing import unpack
from services.section_store.permanent import Permanent, Writing, check_version
from services.section_store.results import Value

MOST_AT_ONCE = 100
MOST_LISTED = 1_000


class Values:
    def __init__(self, permanent: Permanent, database: Database, cache: SectionCache) -> None:
        self._permanent = permanent
        self._database = database
        self._cache = cache

    async def get(self, owner: Owner, names: Sequence[Name]) -> dict[Name, Value]:
        """Give what stands under the names."""
        if not names:
            return {}
        ids = {value_id(owner, name): name for name in names}
        if len(ids) > MOST_AT_ONCE:
            raise InvalidInputError("keys", f"{MOST_AT_ONCE} at most")
        found = await self._permanent.read(owner, list(ids), records)
        if found.fetched:
            await self._note(owner, [ids[one] for one in found.fetched])
        standing = {ids[one]: record for one, record in found.records.items() if record is not None}
        return {name: value_of(name, record) for name, record in standing.items()}

    async def put(
        self, owner: Owner, puts: Sequence[Put], *, if_version: int | None = None
    ) -> Mapping[UUID, Record | None]:
        """Write or delete values, all or none; `if_version` is what each must have before, 0 for none."""
        ids = [value_id(owner, one.name) for one in puts]
        if not 0 < len(set(ids)) == len(ids) <= MOST_AT_ONCE:
            raise InvalidInputError("keys", f"1 to {MOST_AT_ONCE}, each once")

        async def check(session: AsyncSession) -> None:
            standing = await records(session, ids)
            for one in ids:
                check_version(standing.get(one), if_version)

        async def change(session: AsyncSession) -> Mapping[UUID, Record | None]:
            written = await put(session, owner, puts)
            return {one: written.get(one) for one in ids}

        return await self._permanent.write(owner, Writing(ids, change, check if if_version is not None else None))

    async def listed(
        self, owner: Owner, *, section: str, namespace: str, prefix: str, after: str, limit: int
    ) -> list[Listed]:
        async with self._database.transaction(Tenant.of(owner)) as session:
            return await listed(
                session, owner, section=section, namespace=namespace, prefix=prefix, after=after, limit=limit
            )

    async def _note(self, owner: Owner, names: Collection[Name]) -> None:
        now = time()
        with suppress(SectionsUnavailableError):
            await self._cache.note_recent(owner, {f"{one.section}\n{one.namespace}\n{one.key}": now for one in names})


def value_of(name: Name, record: Record) -> Value:
    return Value(
        section=name.section,
        namespace=name.namespace,
        key=name.key,
        value=unpack(record.packed),
        version=record.version,
        updated_at=record.updated_at,
        raw_size=record.packed.raw_size,
        stored_size=len(record.packed.data),
    )
