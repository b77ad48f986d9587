"""The commands that were given: kept in Postgres, the newest of them read from Redis."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, cast
from uuid import UUID, uuid4, uuid5

from pydantic import JsonValue
from sqlalchemy.ext.asyncio import AsyncSession

from services.domain.errors import InvalidInputError
from services.domain.ids import NAMESPACE
from services.domain.memories import Owner
from services.domain.sections import history_id
from services.postgres.database import Database, Tenant
from services.postgres.sections.history import KeptCommand, add_command, commands
from services.postgres.sections.values import Record
from services.section_store.packing import Packing, unpack
from services.section_store.permanent import Fetch, Permanent, Writing
from services.section_store.results import Command, Page

# So many are cached, as one value.
CACHED = 100
MOST_AT_ONCE = 1_000


class History:
    def __init__(self, permanent: Permanent, database: Database, packing: Packing) -> None:
        self._permanent = permanent
        self._database = database
        self._packing = packing
        # A list of commands may be longer than one value.
        self._lists = Packing((packing.most_bytes + 1_000) * CACHED, packing.compress_above)

    async def add(
        self, owner: Owner, command: JsonValue, *, namespace: str, session_id: str | None, command_id: str | None
    ) -> Command:
        """Add a command; the same `command_id` in the same namespace is added once, however often it comes."""
        packed = self._packing.pack(command)
        given = command_id if command_id is not None else str(uuid4())
        stored = uuid5(NAMESPACE, f"command\n{owner.type}\n{owner.id}\n{namespace}\n{given}")
        added: list[KeptCommand] = []

        async def change(session: AsyncSession) -> Mapping[UUID, Record | None]:
            added.append(
                await add_command(
                    session, owner, command_id=stored, namespace=namespace, session_id=session_id, packed=packed
                )
            )
            return {}

        ids = [history_id(owner, namespace, None)]
        ids += [history_id(owner, namespace, session_id)] if session_id is not None else []
        await self._permanent.write(owner, Writing(ids, change))
        return _command(added[-1])

    async def get(
        self, owner: Owner, *, namespace: str, session_id: str | None, limit: int, before: int | None
    ) -> Page[Command]:
        """Give the newest commands first; `before` is the sequence number that the page before ended with."""
        if not 1 <= limit <= MOST_AT_ONCE:
            raise InvalidInputError("limit", f"1 to {MOST_AT_ONCE}")
        history = history_id(owner, namespace, session_id)
        if before is None and limit < CACHED:
            found = await self._newest(owner, history, is_session=session_id is not None)
        else:
            async with self._database.transaction(Tenant.of(owner)) as session:
                kept = await commands(
                    session, history, is_session=session_id is not None, before=before, limit=limit + 1
                )
            found = [_command(one) for one in kept]
        more = len(found) > limit
        return Page(tuple(found[:limit]), str(found[limit - 1].seq) if more else None)

    def lists(self, owner: Owner, namespace: str, session_ids: Sequence[str | None]) -> dict[UUID, Fetch]:
        """Give how to fetch the newest commands of sessions, or all of the owner's for None: each list is one value."""
        histories = {history_id(owner, namespace, one): one is not None for one in session_ids}
        return {history: self._fetching(history, is_session=is_session) for history, is_session in histories.items()}

    async def _newest(self, owner: Owner, history: UUID, *, is_session: bool) -> list[Command]:
        fetch = self._fetching(history, is_session=is_session)
        record = (await self._permanent.read(owner, [history], fetch)).records[history]
        return [_from_json(one) for one in cast(list[dict[str, Any]], unpack(record.packed))] if record else []

    def _fetching(self, history: UUID, *, is_session: bool) -> Fetch:
        async def fetch(session: AsyncSession, _: Collection[UUID]) -> Mapping[UUID, Record]:
            kept = await commands(session, history, is_session=is_session, before=None, limit=CACHED)
            if not kept:
                return {}
            listed = self._lists.pack([_as_json(one) for one in kept])
            return {history: Record(listed, kept[0].seq, kept[0].added_at)}

        return fetch


def _command(kept: KeptCommand) -> Command:
    return Command(kept.id, unpack(kept.packed), kept.session_id, kept.added_at, kept.seq)


def _as_json(kept: KeptCommand) -> JsonValue:
    return {
        "id": str(kept.id),
        "command": unpack(kept.packed),
        "session_id": kept.session_id,
        "added_at": kept.added_at.isoformat(),
        "seq": kept.seq,
    }


def _from_json(one: dict[str, Any]) -> Command:
    at = datetime.fromisoformat(one["added_at"])
    return Command(UUID(one["id"]), one["command"], one["session_id"], at, one["seq"])
