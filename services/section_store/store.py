"""The section store: what an application keeps by name, for a moment, for a session or for good.

docs/sections.md says which section to use when, with an example of every call.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

from afterturn_client.redis_connection import AnyRedis
from pydantic import JsonValue

from services.domain.errors import InvalidInputError, SectionsUnavailableError, TransientError
from services.domain.memories import Owner
from services.domain.sections import (
    DEFAULT_NAMESPACE,
    LEVELS,
    Name,
    Section,
    check_name,
    check_namespace,
    check_session,
    value_id,
)
from services.postgres.database import Database
from services.postgres.sections.values import Put
from services.section_store.cache import SectionCache
from services.section_store.counts import SectionCounts
from services.section_store.embedding import FactEmbedding
from services.section_store.facts import Facts
from services.section_store.gate import Gate
from services.section_store.history import History
from services.section_store.listing import Listing
from services.section_store.owners import Erased, Owners
from services.section_store.packing import Packing
from services.section_store.permanent import Permanent
from services.section_store.prefetch import Prefetch
from services.section_store.removal import CommandRemoval
from services.section_store.repacking import PackedPage, Repacking
from services.section_store.results import Command, FoundFact, KeyOf, Page, StorageStats, Value
from services.section_store.sessions import Sessions
from services.section_store.sync import Sync, SyncPage
from services.section_store.temporaries import Temporaries
from services.section_store.upkeep import CleanedUp, StoreStatistics, Upkeep
from services.section_store.values import Values, value_of
from services.settings import SectionSettings


class SectionStore:
    """Opened with `SectionStore.open`. Who asks has been found to be allowed to act for the owner.

    Raises `InvalidInputError` naming the field, `SectionsUnavailableError` where only Redis has what is asked for and
    does not answer, and `TransientError` where Postgres is needed and does not.
    """

    def __init__(
        self, redis: AnyRedis, database: Database, settings: SectionSettings, embedding: FactEmbedding | None
    ) -> None:
        packing = Packing(settings.section_value_bytes, settings.section_compress_bytes)
        self.counts = SectionCounts()
        self._database = database
        cache = SectionCache(redis, seconds=settings.section_cache_seconds)
        gate = Gate(database, cache, trust_seconds=settings.section_trust_seconds)
        permanent = Permanent(database, cache, gate, self.counts)
        self._packing = packing
        self._values = Values(permanent, database, cache)
        self._facts = Facts(database, packing, embedding)
        self._history = History(permanent, database, packing)
        self._sessions = Sessions(redis, packing, idle_seconds=settings.section_session_seconds)
        self._temporaries = Temporaries(redis, packing)
        self._listing = Listing(database, self._values, self._sessions, self._temporaries)
        self._prefetch = Prefetch(database, cache, permanent, self._history)
        self._sync = Sync(redis, database, cache, self._facts, self.counts)
        self._repacking = Repacking(redis, database, packing)
        self._commands = CommandRemoval(permanent, database)
        self._upkeep = Upkeep(
            redis, database, self.counts, self._commands, history_length=settings.section_history_length
        )
        self._owners = Owners(redis, database, gate, self._sessions, self._temporaries)

    @classmethod
    @asynccontextmanager
    async def open(
        cls, redis: AnyRedis, database: Database, settings: SectionSettings, embedding: FactEmbedding | None = None
    ) -> AsyncIterator["SectionStore"]:
        """Open a store on clients of the running loop, which answer bytes; on leaving, its counts are saved."""
        store = cls(redis, database, settings, embedding)
        try:
            yield store
        finally:
            with suppress(TransientError):
                await store.counts.save(database)

    async def set_user_preference(
        self,
        owner: Owner,
        key: str,
        value: JsonValue,
        *,
        namespace: str = DEFAULT_NAMESPACE,
        if_version: int | None = None,
    ) -> Value:
        """Keep a preference for good; `if_version` as `set` has it."""
        return await self.set(owner, "user_preferences", key, value, namespace=namespace, if_version=if_version)

    async def get_user_preference(self, owner: Owner, key: str, *, namespace: str = DEFAULT_NAMESPACE) -> Value | None:
        return await self.get(owner, "user_preferences", key, namespace=namespace)

    async def set_session_state(
        self,
        owner: Owner,
        session_id: str,
        key: str,
        value: JsonValue,
        *,
        namespace: str = DEFAULT_NAMESPACE,
        shared: bool = False,
    ) -> Value:
        """Keep a value until the session ends; a `shared` one for all sessions of the owner, while any uses it."""
        name = check_name("session_state", key, namespace)
        return await self._sessions.set(owner, None if shared else check_session(session_id), name, value)

    async def get_session_state(
        self, owner: Owner, session_id: str, key: str, *, namespace: str = DEFAULT_NAMESPACE
    ) -> Value | None:
        """Give the session's own value, else the one that all sessions share."""
        return await self._sessions.get(owner, session_id, check_name("session_state", key, namespace))

    async def end_session(self, owner: Owner, session_id: str) -> int:
        """Forget a session's state; answer how many values it had."""
        return await self._sessions.end(owner, session_id)

    async def store_fact(
        self,
        owner: Owner,
        key: str,
        value: JsonValue,
        *,
        namespace: str = DEFAULT_NAMESPACE,
        if_version: int | None = None,
    ) -> Value:
        """Keep a fact for good, to be found again by `search_facts`; `if_version` as `set` has it."""
        [stored] = await self.store_facts(owner, {key: value}, namespace=namespace, if_version=if_version)
        return stored

    async def store_facts(
        self,
        owner: Owner,
        facts: Mapping[str, JsonValue],
        *,
        namespace: str = DEFAULT_NAMESPACE,
        if_version: int | None = None,
    ) -> list[Value]:
        """Keep facts by their keys, all or none. Those that the model does not embed now are found by their words."""
        puts = [self._facts.put(check_name("facts", key, namespace), value) for key, value in facts.items()]
        written = await self._values.put(owner, puts, if_version=if_version)
        await self._facts.embed(owner, puts, written)
        records = [(put.name, written[value_id(owner, put.name)]) for put in puts]
        return [value_of(name, record) for name, record in records if record is not None]

    async def get_fact(self, owner: Owner, key: str, *, namespace: str = DEFAULT_NAMESPACE) -> Value | None:
        return await self.get(owner, "facts", key, namespace=namespace)

    async def get_facts(
        self, owner: Owner, keys: Sequence[str], *, namespace: str = DEFAULT_NAMESPACE
    ) -> dict[str, Value]:
        """Give the facts that stand, by their keys."""
        names = [check_name("facts", key, namespace) for key in keys]
        return {name.key: value for name, value in (await self._values.get(owner, names)).items()}

    async def search_facts(
        self, owner: Owner, query: str, *, namespace: str | Sequence[str] | None = None, limit: int = 10
    ) -> list[FoundFact]:
        """Find facts by words and by meaning, the best first: in a namespace, in several, or else in all of them."""
        named = [namespace] if isinstance(namespace, str) else namespace
        namespaces = [check_namespace(one) for one in named] if named is not None else None
        return await self._facts.search(owner, query, namespaces=namespaces, limit=limit)

    async def add_command_history(
        self,
        owner: Owner,
        command: JsonValue,
        *,
        session_id: str | None = None,
        namespace: str = DEFAULT_NAMESPACE,
        command_id: str | None = None,
    ) -> Command:
        """Add a command; with a `command_id` it is added once, however often it is tried."""
        session_id = check_session(session_id) if session_id is not None else None
        namespace = check_namespace(namespace)
        return await self._history.add(
            owner, command, namespace=namespace, session_id=session_id, command_id=command_id
        )

    async def get_command_history(
        self,
        owner: Owner,
        *,
        session_id: str | None = None,
        namespace: str = DEFAULT_NAMESPACE,
        limit: int = 20,
        cursor: str | None = None,
    ) -> Page[Command]:
        """Give the newest commands first: a session's, or without one all of the owner."""
        session_id = check_session(session_id) if session_id is not None else None
        before = _number(cursor) if cursor is not None else None
        return await self._history.get(
            owner, namespace=check_namespace(namespace), session_id=session_id, limit=limit, before=before
        )

    async def set_temporary(
        self, owner: Owner, key: str, value: JsonValue, *, ttl_seconds: float, namespace: str = DEFAULT_NAMESPACE
    ) -> Value:
        name = check_name("temporary", key, namespace)
        return await self._temporaries.set(owner, name, value, ttl_seconds=ttl_seconds)

    async def get_temporary(self, owner: Owner, key: str, *, namespace: str = DEFAULT_NAMESPACE) -> Value | None:
        return await self._temporaries.get(owner, check_name("temporary", key, namespace))

    async def set(  # noqa: PLR0913  each is of one level, and named
        self,
        owner: Owner,
        section: Section,
        key: str,
        value: JsonValue,
        *,
        namespace: str = DEFAULT_NAMESPACE,
        if_version: int | None = None,
        session_id: str | None = None,
        ttl_seconds: float | None = None,
    ) -> Value:
        """Keep a value at its section's level.

        A permanent value is in Postgres when this returns. `if_version` is the version that it must have now, 0 for
        none: else `VersionConflictError` is raised. Without a `session_id` all sessions share a session's value.
        """
        name = _checked(section, key, namespace)
        match LEVELS[section]:
            case "session":
                return await self._sessions.set(owner, session_id, name, value)
            case "temporary":
                if ttl_seconds is None:
                    raise InvalidInputError("ttl_seconds", "how long the value is to be kept")
                return await self._temporaries.set(owner, name, value, ttl_seconds=ttl_seconds)
            case "permanent" if section == "facts":
                return await self.store_fact(owner, key, value, namespace=namespace, if_version=if_version)
            case "permanent":
                written = await self._values.put(owner, [Put(name, self._packing.pack(value))], if_version=if_version)
        [record] = written.values()
        if record is None:
            raise TransientError("the value is gone already")
        return value_of(name, record)

    async def get(
        self,
        owner: Owner,
        section: Section,
        key: str,
        *,
        namespace: str = DEFAULT_NAMESPACE,
        session_id: str | None = None,
    ) -> Value | None:
        name = _checked(section, key, namespace)
        match LEVELS[section]:
            case "session":
                return await self._sessions.get(owner, session_id, name)
            case "temporary":
                return await self._temporaries.get(owner, name)
            case "permanent":
                return (await self._values.get(owner, [name])).get(name)

    async def delete(
        self,
        owner: Owner,
        section: Section,
        key: str,
        *,
        namespace: str = DEFAULT_NAMESPACE,
        if_version: int | None = None,
        session_id: str | None = None,
    ) -> None:
        """Delete a value; one that is not there is deleted already, unless `if_version` asks for it."""
        name = _checked(section, key, namespace)
        match LEVELS[section]:
            case "session":
                await self._sessions.delete(owner, session_id, name)
            case "temporary":
                await self._temporaries.delete(owner, name)
            case "permanent":
                await self._values.put(owner, [Put(name, None)], if_version=if_version)

    async def list_keys(
        self,
        owner: Owner,
        section: Section,
        *,
        namespace: str = DEFAULT_NAMESPACE,
        session_id: str | None = None,
        prefix: str = "",
        cursor: str | None = None,
        limit: int = 100,
    ) -> Page[KeyOf]:
        """List keys in their order; the cursor is the last key of the page before."""
        name = _checked(section, prefix or "-", namespace)
        return await self._listing.page(
            owner, section, name.namespace, session_id=session_id, prefix=prefix, after=cursor or "", limit=limit
        )

    async def get_storage_stats(self, owner: Owner) -> StorageStats:
        return await self._listing.stats(owner)

    async def warm(self, owner: Owner, session_id: str, *, limit: int = 100) -> int:
        """Bring into Redis what a session will likely read; call it when a turn arrives: only the first one costs.

        Never raises for a server that is away: it only saves time. Answers how many values were looked at.
        """
        with suppress(TransientError, SectionsUnavailableError):
            return await self._prefetch.warm(owner, check_session(session_id), limit=limit)
        return 0

    async def sync(self, cursor: str | None = None, *, limit: int = 500) -> SyncPage:
        """Compare Redis with Postgres and mend what differs, a page at a time; see `SyncPage`."""
        return await self._sync.page(cursor, limit=limit)

    async def pack(self, cursor: str | None = None, *, limit: int = 1_000) -> PackedPage:
        """Compress what was stored as it was, such as under other settings, a page at a time; see `PackedPage`."""
        return await self._repacking.page(cursor, limit=limit)

    async def clean_up(self, *, limit: int = 1_000) -> CleanedUp:
        return await self._upkeep.clean_up(limit=limit)

    async def expire_commands(self, days: int, *, limit: int = 1_000) -> int:
        """Delete commands older than `days`, or than their owner's retention, 0 for none; answer how many."""
        return await self._commands.past_retention(days, limit=limit)

    async def statistics(self, *, days: int = 7) -> StoreStatistics:
        """Say how much there is of all owners, and how often Redis had it."""
        return await self._upkeep.statistics(days=days)

    async def erase(self, owner: Owner) -> Erased:
        return await self._owners.erase(owner)

    def export(self, owner: Owner) -> AsyncIterator[dict[str, Any]]:
        """Give all of an owner's as JSON records, one at a time."""
        return self._owners.export(owner)


def _checked(section: Section, key: str, namespace: str) -> Name:
    name = check_name(section, key, namespace)
    if name.section == "command_history":
        raise InvalidInputError("section", "any but command_history, which has calls of its own")
    return name


def _number(cursor: str) -> int:
    if not cursor.isdecimal():
        raise InvalidInputError("cursor", "what the page before answered")
    return int(cursor)
