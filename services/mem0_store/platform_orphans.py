"""Finds what the hosted Mem0 holds of owners of whom Postgres knows nothing, as after a restore to an earlier time."""

from services.domain.memories import Owner
from services.mem0_store.platform_agreement import filters
from services.mem0_store.platform_client import Item, PlatformClient
from services.mem0_store.platform_drift import named_memory
from services.postgres.database import Database
from services.postgres.memories.mem0_links import owners_after

_PAGE = 1_000


class Orphans:
    """Only what carries our marks is counted: yet another installation on the same account has the same marks."""

    def __init__(self, client: PlatformClient, database: Database) -> None:
        self._client = client
        self._database = database

    async def find(self) -> list[Item]:
        known = await self._known_owners()
        found: list[Item] = []
        for entity in await self._client.entities():
            for item in await self._client.list(filters(entity, {})):
                named = named_memory(item)
                if named is not None and (named[0].type, named[0].id) not in known:
                    found.append(item)
        return found

    async def drop(self) -> int:
        """Delete them; answer how many went."""
        return sum([await self._client.delete(item.id) for item in await self.find()])

    async def _known_owners(self) -> set[tuple[str, object]]:
        """Those of whom anything was ever remembered: their memories are for the reconciliation to compare."""
        known: set[tuple[str, object]] = set()
        last: Owner | None = None
        while True:
            async with self._database.transaction() as session:
                page = await owners_after(session, last, _PAGE)
            known |= {(owner.type, owner.id) for owner in page}
            if len(page) < _PAGE:
                return known
            last = page[-1]
