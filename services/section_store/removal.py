"""Removes commands that are not kept any longer, from what is cached of their histories too."""

from collections.abc import Mapping, Sequence
from itertools import groupby
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from services.domain.memories import Owner
from services.postgres.database import Database
from services.postgres.sections.history import (
    OldCommand,
    commands_beyond,
    commands_past_retention,
    remove_commands,
)
from services.postgres.sections.values import Record
from services.section_store.permanent import Permanent, Writing

# Each has two histories, and the lock of each is held.
_AT_ONCE = 200


class CommandRemoval:
    def __init__(self, permanent: Permanent, database: Database) -> None:
        self._permanent = permanent
        self._database = database

    async def beyond(self, keep: int, *, limit: int) -> int:
        """Remove what is older than the newest `keep` of an owner in a namespace; answer how many."""
        async with self._database.transaction() as session:
            old = await commands_beyond(session, keep=keep, limit=limit)
        return await self._remove(old)

    async def past_retention(self, days: int, *, limit: int) -> int:
        """Remove what is older than `days`, or than its owner wants; answer how many."""
        async with self._database.transaction() as session:
            old = await commands_past_retention(session, days=days, limit=limit)
        return await self._remove(old)

    async def _remove(self, old: Sequence[OldCommand]) -> int:
        removed = 0
        for owner, found in groupby(old, lambda one: one.owner):
            theirs = list(found)
            for start in range(0, len(theirs), _AT_ONCE):
                removed += await self._remove_page(owner, theirs[start : start + _AT_ONCE])
        return removed

    async def _remove_page(self, owner: Owner, page: Sequence[OldCommand]) -> int:
        """As a write does: no list that was cached before is read after it."""
        removed: list[int] = []

        async def change(session: AsyncSession) -> Mapping[UUID, Record | None]:
            removed.append(await remove_commands(session, [one.id for one in page]))
            return {}

        histories = {history for one in page for history in one.histories}
        await self._permanent.write(owner, Writing(histories, change))
        return removed[-1]
