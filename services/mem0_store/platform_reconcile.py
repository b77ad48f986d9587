"""Finds what Mem0 and the brain do not agree on, owner by owner, and mends it, each record under its lease."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Coroutine, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial, reduce
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy.ext.asyncio import AsyncSession

from services.domain.errors import AfterturnError, TransientError
from services.domain.memories import Owner, brain_id
from services.mem0_store.platform_agreement import Wanted, filters, marks
from services.mem0_store.platform_client import Item, PlatformClient
from services.mem0_store.platform_drift import Drift, DriftKind, drifts, is_foreign, named_memory
from services.mem0_store.platform_writing import Begun, Writing
from services.mem0_store.port import ReconcilePage
from services.postgres.database import Database
from services.postgres.memories import intents
from services.postgres.memories.intents import Intent
from services.postgres.memories.mem0_links import Link, entity_of, link, linked_to, links, owners_after

_OWNERS_AT_ONCE = 8
_ANY_TIME = datetime.max.replace(tzinfo=UTC)
_COUNTS = ("checked", "missing_in_mem0", "missing_in_brain", "texts_differ", "duplicates", "foreign", "repaired")
Redrive = Callable[[Owner, dict[str, Any]], Awaitable[None]]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Brain:
    """What Postgres knows of one owner; without an entity the owner is gone."""

    entity_id: str | None
    links: list[Link]
    intents: list[Intent]

    @property
    def in_flight(self) -> set[UUID]:
        return {each.brain_id for each in self.intents if not each.is_abandoned}


class Reconciliation:
    def __init__(
        self, client: PlatformClient, database: Database, writing: Writing, redrive: Redrive, grace_seconds: float
    ) -> None:
        self._client = client
        self._database = database
        self._writing = writing
        self._redrive = redrive
        self._grace_seconds = grace_seconds

    async def page(self, after: str | None, *, limit: int, repair: bool) -> ReconcilePage:
        """Compare whole owners, until `limit` memories were looked at."""
        async with self._database.transaction() as session:
            owners = await owners_after(session, _owner(after) if after else None, limit + 1)
        total, done = ReconcilePage(), 0
        while done < min(len(owners), limit) and total.checked < limit:
            batch = owners[done : min(done + _OWNERS_AT_ONCE, limit)]
            pages = await _all(self._compare(owner, repair=repair) for owner in batch)
            total = reduce(_sum, pages, total)
            done += len(batch)
        return replace(total, next_after=_cursor(owners[done - 1]) if done < len(owners) else None)

    async def settle(self, owner: Owner, slug: str) -> None:
        """Make Mem0 hold what the brain says of one memory, without waiting for the grace time."""
        async with self._database.transaction() as session:
            entity = await entity_of(session, owner)
        await self._settle(owner, slug, [entity] if entity else [])

    async def one(self, memory_id: str) -> bool:
        """Look at one memory in Mem0 and its record, without waiting for the grace time; tell whether they were mended.

        Raises `TransientError` while somebody is at work on it.
        """
        item = await self._client.get(memory_id)
        async with self._database.transaction() as session:
            named = await linked_to(session, memory_id)
        named = named or (named_memory(item) if item else None)
        if named is None:
            return False
        owner, slug = named
        brain = await self._read(owner)
        linked = [replace(each, is_settled=True) for each in brain.links if each.slug == slug]
        if brain_id(owner, slug) in brain.in_flight:
            raise TransientError("somebody is at work on it")
        items = {item.id: item} if item else {}
        await self._add_those_not_listed(linked, items)
        found = drifts(owner, brain.entity_id, linked, items, in_flight=(), before=_ANY_TIME)
        if not any(each.slug == slug for each in found):
            return False
        former = {item.entity_id or str(owner.id)} if item else set()
        await self._settle(owner, slug, {brain.entity_id} if brain.entity_id else former)
        return True

    async def _compare(self, owner: Owner, *, repair: bool) -> ReconcilePage:
        before = datetime.now(UTC) - timedelta(seconds=self._grace_seconds)
        brain = await self._read(owner)
        entities = {brain.entity_id} if brain.entity_id else await self._former_entities(owner, brain.intents)
        listed = [item for entity in entities for item in await self._client.list(filters(entity, marks(owner)))]
        items = {item.id: item for item in listed}
        await self._add_those_not_listed(brain.links, items)
        found = drifts(owner, brain.entity_id, brain.links, items, in_flight=brain.in_flight, before=before)
        found = await self._confirmed(owner, brain, found) if found else []
        mended = await self._mend(owner, brain, entities, found) if repair else set()
        return ReconcilePage(
            checked=len({each.memory_id for each in brain.links} | items.keys()),
            missing_in_mem0=_count(found, "missing_in_mem0"),
            missing_in_brain=_count(found, "missing_in_brain"),
            texts_differ=_count(found, "texts_differ"),
            duplicates=_count(found, "duplicates"),
            foreign=sum([await self._foreign(entity, listed) for entity in entities]),
            repaired=sum(each.brain_id in mended for each in found),
        )

    async def _read(self, owner: Owner) -> _Brain:
        grace = self._grace_seconds
        async with self._database.transaction() as session:
            return _Brain(
                entity_id=await entity_of(session, owner),
                links=await links(session, owner, grace_seconds=grace),
                intents=await intents.of_owner(session, owner, grace_seconds=grace),
            )

    async def _former_entities(self, owner: Owner, left: Iterable[Intent]) -> set[str]:
        """What Mem0 called an owner who is gone, as intents tell, or else the memories that they name."""
        told = set()
        for intent in left:
            item = None if intent.entity_id or not intent.memory_id else await self._client.get(intent.memory_id)
            told.add(intent.entity_id or (item.entity_id if item else None) or str(owner.id))
        return told

    async def _add_those_not_listed(self, of: Iterable[Link], items: dict[str, Item]) -> None:
        """Ask for them by their ids: a list may lag, or a page may have moved while it was read."""
        for each in of:
            if each.is_settled and each.memory_id not in items and (item := await self._client.get(each.memory_id)):
                items[item.id] = item

    async def _confirmed(self, owner: Owner, brain: _Brain, found: list[Drift]) -> list[Drift]:
        """Leave out what somebody has written since it was read."""
        now = await self._read(owner)
        before = {each.brain_id: (each.memory_id, each.updated_at) for each in brain.links}
        after = {each.brain_id: (each.memory_id, each.updated_at) for each in now.links}
        same = {each.brain_id for each in found if before.get(each.brain_id) == after.get(each.brain_id)}
        return [each for each in found if each.brain_id in same - now.in_flight]

    async def _mend(self, owner: Owner, brain: _Brain, entities: Iterable[str], found: Iterable[Drift]) -> set[UUID]:
        """Finish what was abandoned, then settle what does not agree; what fails is tried again by the next run."""
        mended: set[UUID] = set()
        abandoned = {each.brain_id: each for each in brain.intents if each.is_abandoned}
        work = {each.brain_id: each.slug for each in abandoned.values()}
        work |= {each.brain_id: each.slug for each in found}
        for id_, slug in work.items():
            intent = abandoned.get(id_)
            try:
                if intent and intent.action == "save" and intent.payload and brain.entity_id:
                    await self._redrive(owner, intent.payload)
                else:
                    await self._settle(owner, slug, entities)
            except AfterturnError as error:
                logger.warning("memory %s cannot be reconciled: %s", id_, error)
            else:
                mended.add(id_)
        return mended

    async def _settle(self, owner: Owner, slug: str, entities: Iterable[str]) -> None:
        """Make Mem0 hold what the brain says of one slug, under the names that Mem0 has for the owner."""
        for entity in entities:
            async with self._database.transaction() as session:
                begun = await self._begin(session, owner, slug, entity)
            await self._writing.write(begun, partial(self._link, begun.wanted))

    async def _begin(self, session: AsyncSession, owner: Owner, slug: str, entity: str) -> Begun:
        asked = intents.Asked(uuid4(), entity, self._writing.lease_seconds)
        lease = await intents.take(session, owner, slug, asked)
        if lease is None:
            raise TransientError("somebody is at work on it")
        standing = await self._standing(session, owner, slug)
        wanted = Wanted(owner, slug, entity, *((standing.content, standing.kind) if standing else ()))
        known = dict.fromkeys(each for each in (standing and standing.memory_id, lease.memory_id) if each)
        return Begun(replace(lease, doubt=True), wanted, tuple(known))

    async def _link(self, wanted: Wanted, session: AsyncSession, memory_id: str | None) -> None:
        standing = await self._standing(session, wanted.owner, wanted.slug)
        if (standing and standing.content) != wanted.content:
            raise TransientError("the memory changed meanwhile")
        if memory_id:
            await link(session, wanted.owner, wanted.brain_id, memory_id)

    async def _standing(self, session: AsyncSession, owner: Owner, slug: str) -> Link | None:
        found = await links(session, owner, grace_seconds=self._grace_seconds, slugs=[slug])
        return found[0] if found else None

    async def _foreign(self, entity: str, listed: Collection[Item]) -> int:
        """Count what stands under an owner's name and is nobody's of ours. Nothing else is done with it."""
        everything = filters(entity, {})
        ours = sum(item.entity_id == entity and not is_foreign(item) for item in listed)
        if await self._client.count(everything) == ours:
            return 0
        return sum(is_foreign(item) for item in await self._client.list(everything))


async def _all(comparing: Iterable[Coroutine[Any, Any, ReconcilePage]]) -> list[ReconcilePage]:
    """Wait for all of them, even when one fails: nobody is left at work."""
    done = await asyncio.gather(*comparing, return_exceptions=True)
    for each in done:
        if isinstance(each, BaseException):
            raise each
    return [each for each in done if isinstance(each, ReconcilePage)]


def _count(found: Iterable[Drift], kind: DriftKind) -> int:
    return sum(each.kind == kind for each in found)


def _sum(one: ReconcilePage, other: ReconcilePage) -> ReconcilePage:
    return ReconcilePage(*(getattr(one, name) + getattr(other, name) for name in _COUNTS))


def _cursor(owner: Owner) -> str:
    return f"{owner.type}:{owner.id}"


def _owner(cursor: str) -> Owner:
    kind, _, id_ = cursor.partition(":")
    return Owner("company" if kind == "company" else "user", UUID(id_))
