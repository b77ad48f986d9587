"""Erases what the hosted Mem0 holds of an owner: at once, and also what landed late."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import delete, func, or_

from services.domain.memories import Owner
from services.mem0_store.platform_agreement import filters, marks
from services.mem0_store.platform_client import Item, PlatformClient
from services.mem0_store.platform_drift import named_brain
from services.postgres.database import Database
from services.postgres.memories import intents
from services.postgres.memories.mem0_links import links
from services.postgres.tables.memories import Mem0IntentRow


class Erasing:
    def __init__(self, client: PlatformClient, database: Database) -> None:
        self._client = client
        self._database = database

    async def erase(self, owner: Owner, entities: Sequence[str]) -> int:
        """Delete the owner's memories that no brain record stands for and that nobody is writing now.

        A list may lag, so those that intents name are asked for by their ids as well.
        """
        async with self._database.transaction() as session:
            standing = await links(session, owner, grace_seconds=0)
            left = await intents.of_owner(session, owner, grace_seconds=0)
        begun = {each.brain_id for each in left if each.action == "save"}
        kept = {each.memory_id for each in standing} | {each.memory_id for each in left if each.action == "save"}
        doomed = {each.memory_id for each in left if each.action == "delete" and each.memory_id}
        names = dict.fromkeys([*entities, *(each.entity_id for each in left if each.entity_id)])
        for entity in names:
            listed = await self._client.list(filters(entity, marks(owner)))
            doomed |= {item.id for item in listed if _is_ours(owner, item, begun)}
        gone = [await self._client.delete(memory_id) for memory_id in sorted(doomed - kept)]
        await self._drop_intents(owner, {each.brain_id for each in left if each.action == "delete"})
        return sum(gone)

    async def _drop_intents(self, owner: Owner, brains: set[UUID]) -> None:
        """What was to be deleted is. Whoever has begun to save again meanwhile keeps the intent."""
        row = Mem0IntentRow
        free = or_(row.lease_until.is_(None), row.lease_until < func.clock_timestamp())
        async with self._database.transaction() as session:
            await session.execute(
                delete(row).where(
                    row.owner_type == owner.type,
                    row.owner_id == owner.id,
                    row.brain_id.in_(brains),
                    row.action == "delete",
                    free,
                )
            )


def _is_ours(owner: Owner, item: Item, begun: set[UUID]) -> bool:
    named = named_brain(owner, item)
    return named is not None and named[1] not in begun
