"""Erases all that is kept of one owner, and exports it."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from afterturn_client.redis_connection import AnyRedis

from services.domain.memories import Owner
from services.domain.sections import bucket_of
from services.postgres.database import Database
from services.postgres.sections.export import command_page, delete_owner, value_page
from services.section_store.cache import unavailable
from services.section_store.gate import Gate
from services.section_store.keys import owner_prefix
from services.section_store.packing import unpack
from services.section_store.results import Value
from services.section_store.scanning import scan_all
from services.section_store.sessions import Sessions
from services.section_store.temporaries import Temporaries

_PAGE = 200


@dataclass(frozen=True, slots=True)
class Erased:
    values: int
    commands: int
    keys: int


class Owners:
    def __init__(
        self, redis: AnyRedis, database: Database, gate: Gate, sessions: Sessions, temporaries: Temporaries
    ) -> None:
        self._redis = redis
        self._database = database
        self._gate = gate
        self._sessions = sessions
        self._temporaries = temporaries

    async def erase(self, owner: Owner) -> Erased:
        """Delete all of an owner's, in Redis and Postgres; safe to repeat.

        Raises `TransientError` where either is away, for then something may be left.
        """
        # First nobody finds in Redis what goes from Postgres; then what readers meanwhile put there goes too.
        await self._gate.end_epoch(bucket_of(owner))
        async with self._database.transaction() as session:
            values, commands = await delete_owner(session, owner)
        await self._gate.end_epoch(bucket_of(owner))
        keys = await scan_all(self._redis, f"{owner_prefix(owner)}*")
        for key in keys:
            with unavailable():
                await self._redis.unlink(key)
        return Erased(values, commands, len(keys))

    async def export(self, owner: Owner) -> AsyncIterator[dict[str, Any]]:
        """Give all of an owner's, one record at a time, page by page; what only Redis holds comes last."""
        after = ""
        while True:
            async with self._database.transaction() as session:
                values = await value_page(session, owner, after, _PAGE)
            for one in values:
                yield {
                    "section": one.name.section,
                    "namespace": one.name.namespace,
                    "key": one.name.key,
                    "value": unpack(one.record.packed),
                    "version": one.record.version,
                    "updated_at": one.record.updated_at.isoformat(),
                }
            if len(values) < _PAGE:
                break
            after = str(values[-1].id)
        async for record in self._commands(owner):
            yield record
        async for value in self._only_in_redis(owner):
            yield value

    async def _commands(self, owner: Owner) -> AsyncIterator[dict[str, Any]]:
        after = 0
        while True:
            async with self._database.transaction() as session:
                page = await command_page(session, owner, after, _PAGE)
            for namespace, one in page:
                yield {
                    "section": "command_history",
                    "namespace": namespace,
                    "session_id": one.session_id,
                    "value": unpack(one.packed),
                    "added_at": one.added_at.isoformat(),
                }
            if len(page) < _PAGE:
                return
            after = page[-1][1].seq

    async def _only_in_redis(self, owner: Owner) -> AsyncIterator[dict[str, Any]]:
        for session_id in await self._sessions.ids(owner):
            for value in (await self._sessions.all_of(owner, session_id)).values():
                yield _as_json(value) | {"session_id": session_id}
        for name in await self._temporaries.names(owner):
            found = await self._temporaries.get(owner, name)
            if found is not None:
                yield _as_json(found)


def _as_json(value: Value) -> dict[str, Any]:
    return {
        "section": value.section,
        "namespace": value.namespace,
        "key": value.key,
        "value": value.value,
        "updated_at": value.updated_at.isoformat(),
        "expires_at": value.expires_at.isoformat() if value.expires_at else None,
    }
