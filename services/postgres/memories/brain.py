"""Reads memories: what stands, what stood, and where it came from."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast
from uuid import UUID

from sqlalchemy import Select, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import defer

from services.domain.memories import Kind, MadeBy, Owner, brain_id, owner_of
from services.domain.messages import ArchivedMessage
from services.postgres.archive.messages import archived_message
from services.postgres.database import Database, Tenant
from services.postgres.tables.archive import ArchivedRow
from services.postgres.tables.memories import CompanyBrainRow, MemorySourceRow, MemoryVersionRow, UserBrainRow

PAGE = 100
_Brain = UserBrainRow | CompanyBrainRow
_AS_IT_WAS_TRUE = (MemoryVersionRow.asserted_at, MemoryVersionRow.content.is_not(None), MemoryVersionRow.id)


@dataclass(frozen=True, slots=True)
class MemoryRecord:
    """A memory that stands, with what made it. `memory_id` is Mem0's."""

    slug: str
    content: str
    kind: Kind
    memory_id: str
    metadata: dict[str, Any]
    asserted_at: datetime
    made_by: MadeBy
    version_id: UUID
    created_at: datetime
    updated_at: datetime
    model: str | None
    prompt_version: str | None
    run_id: str | None


@dataclass(frozen=True, slots=True)
class MemoryVersion:
    """What a memory said from `valid_from` to `valid_to`, None for as long as it stands; without content, nothing.

    `sources` are the uids of all messages that bore it out in that time.
    """

    version_id: UUID
    content: str | None
    kind: Kind
    metadata: dict[str, Any]
    valid_from: datetime
    valid_to: datetime | None
    made_by: MadeBy
    model: str | None
    prompt_version: str | None
    run_id: str | None
    recorded_at: datetime
    sources: tuple[UUID, ...]


@dataclass(frozen=True, slots=True)
class Origin:
    """One time that a memory was asserted: by what, in which run, and borne out by which messages.

    `version_id` is of the version that it made, or said again. Messages that the tenant may not see are left out.
    """

    version_id: UUID
    content: str | None
    asserted_at: datetime
    recorded_at: datetime
    made_by: MadeBy
    model: str | None
    prompt_version: str | None
    run_id: str | None
    messages: tuple[ArchivedMessage, ...]


@dataclass(frozen=True, slots=True)
class DerivedMemory:
    """A memory that a message bears out, and whether what it said stands."""

    owner: Owner
    slug: str
    content: str | None
    kind: Kind
    asserted_at: datetime
    version_id: UUID
    is_current: bool


class Brain:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def get_by_user_and_slug(
        self, user_id: str | UUID, slug: str, *, tenant: Tenant | None = None
    ) -> MemoryRecord | None:
        return await self._get(owner_of("user", user_id), slug, tenant)

    async def get_by_company_and_slug(
        self, company_id: str | UUID, slug: str, *, tenant: Tenant | None = None
    ) -> MemoryRecord | None:
        return await self._get(owner_of("company", company_id), slug, tenant)

    async def get_all_by_user(
        self, user_id: str | UUID, *, after: str | None = None, limit: int = PAGE, tenant: Tenant | None = None
    ) -> list[MemoryRecord]:
        """Page through a person's memories by slug."""
        return await self._get_all(owner_of("user", user_id), after, limit, tenant)

    async def get_all_by_company(
        self, company_id: str | UUID, *, after: str | None = None, limit: int = PAGE, tenant: Tenant | None = None
    ) -> list[MemoryRecord]:
        """Page through a company's memories by slug."""
        return await self._get_all(owner_of("company", company_id), after, limit, tenant)

    async def history(self, owner: Owner, slug: str, *, tenant: Tenant | None = None) -> list[MemoryVersion]:
        """Give what the memory said over time, oldest first."""
        async with self._database.transaction(tenant) as session:
            runs = await _runs(session, owner, slug)
            sources = await _sources(session, runs)
        ends = [run[0].asserted_at for run in runs[1:]]
        return [_version(run, until, sources) for run, until in zip(runs, [*ends, None], strict=False)]

    async def lineage(self, owner: Owner, slug: str, *, tenant: Tenant | None = None) -> list[Origin]:
        """Give every time that the memory was asserted, oldest first, with the messages it came from."""
        async with self._database.transaction(tenant) as session:
            runs = await _runs(session, owner, slug)
            sources = await _sources(session, runs)
            messages = await _messages(session, {uid for uids in sources.values() for uid in uids})
        return [
            _origin(row, run[0].id, [messages[uid] for uid in sources[row.id] if uid in messages])
            for run in runs
            for row in run
        ]

    async def memories_of_message(self, uid: UUID, *, tenant: Tenant | None = None) -> list[DerivedMemory]:
        """Give what became of a message: the memories that it bears out."""
        wanted = (
            select(MemoryVersionRow)
            .join(MemorySourceRow, MemorySourceRow.version_id == MemoryVersionRow.id)
            .where(MemorySourceRow.message_uid == uid)
            .order_by(MemoryVersionRow.slug, *_AS_IT_WAS_TRUE)
        )
        async with self._database.transaction(tenant) as session:
            return [_derived(row) for row in await session.scalars(wanted)]

    async def memories_of_messages(
        self, uids: Collection[UUID], *, tenant: Tenant | None = None
    ) -> dict[UUID, list[DerivedMemory]]:
        """Give what became of several messages, by the uids of those that bear anything out."""
        wanted = (
            select(MemorySourceRow.message_uid, MemoryVersionRow)
            .join(MemoryVersionRow, MemorySourceRow.version_id == MemoryVersionRow.id)
            .where(MemorySourceRow.message_uid.in_(uids))
            .order_by(MemoryVersionRow.slug, *_AS_IT_WAS_TRUE)
        )
        derived = defaultdict[UUID, list[DerivedMemory]](list)
        async with self._database.transaction(tenant) as session:
            for uid, row in await session.execute(wanted):
                derived[uid].append(_derived(row))
        return dict(derived)

    async def _get(self, owner: Owner, slug: str, tenant: Tenant | None) -> MemoryRecord | None:
        found = await self._read(_standing(owner).where(MemoryVersionRow.slug == slug), tenant)
        return found[0] if found else None

    async def _get_all(self, owner: Owner, after: str | None, limit: int, tenant: Tenant | None) -> list[MemoryRecord]:
        wanted = _standing(owner).order_by(_brain_of(owner).slug).limit(limit)
        return await self._read(wanted if after is None else wanted.where(_brain_of(owner).slug > after), tenant)

    async def _read(self, wanted: Select[_Brain, MemoryVersionRow], tenant: Tenant | None) -> list[MemoryRecord]:
        async with self._database.transaction(tenant) as session:
            return [_record(brain, version) for brain, version in await session.execute(wanted)]


def _brain_of(owner: Owner) -> type[_Brain]:
    return UserBrainRow if owner.type == "user" else CompanyBrainRow


def _standing(owner: Owner) -> Select[_Brain, MemoryVersionRow]:
    brain: type[Any] = _brain_of(owner)
    of_owner = brain.user_id == owner.id if owner.type == "user" else brain.company_id == owner.id
    version = MemoryVersionRow
    return select(brain, version).where(of_owner, version.brain_id == brain.id, version.is_current)


async def _runs(session: AsyncSession, owner: Owner, slug: str) -> list[list[MemoryVersionRow]]:
    """Read the versions in their order, each followed by what says it again."""
    rows = await session.scalars(
        select(MemoryVersionRow).where(MemoryVersionRow.brain_id == brain_id(owner, slug)).order_by(*_AS_IT_WAS_TRUE)
    )
    runs: list[list[MemoryVersionRow]] = []
    for row in rows:
        if row.repeats and runs:
            runs[-1].append(row)
        else:
            runs.append([row])
    return runs


async def _sources(session: AsyncSession, runs: Sequence[Sequence[MemoryVersionRow]]) -> dict[UUID, list[UUID]]:
    ids = [row.id for run in runs for row in run]
    found = await session.execute(
        select(MemorySourceRow.version_id, MemorySourceRow.message_uid)
        .where(MemorySourceRow.version_id.in_(ids))
        .order_by(MemorySourceRow.message_uid)
    )
    sources = defaultdict[UUID, list[UUID]](list)
    for version_id, uid in found:
        sources[version_id].append(uid)
    return sources


async def _messages(session: AsyncSession, uids: set[UUID]) -> dict[UUID, ArchivedMessage]:
    """Read messages; those that the tenant may not see are missing."""
    found = await session.scalars(
        select(ArchivedRow).where(ArchivedRow.uid.in_(uids)).options(defer(ArchivedRow.lexemes))
    )
    return {row.uid: archived_message(row) for row in found}


def _record(brain: _Brain, version: MemoryVersionRow) -> MemoryRecord:
    return MemoryRecord(
        slug=brain.slug,
        content=brain.content,
        kind=version.kind,
        memory_id=brain.memory_id,
        metadata=brain.extra_metadata,
        asserted_at=version.asserted_at,
        made_by=version.made_by,
        version_id=version.id,
        created_at=brain.created_at,
        updated_at=brain.updated_at,
        model=version.model,
        prompt_version=version.prompt_version,
        run_id=version.run_id,
    )


def _version(
    run: Sequence[MemoryVersionRow], until: datetime | None, sources: Mapping[UUID, Sequence[UUID]]
) -> MemoryVersion:
    head = run[0]
    return MemoryVersion(
        version_id=head.id,
        content=head.content,
        kind=head.kind,
        metadata=head.extra_metadata,
        valid_from=head.asserted_at,
        valid_to=until,
        made_by=head.made_by,
        model=head.model,
        prompt_version=head.prompt_version,
        run_id=head.run_id,
        recorded_at=head.recorded_at,
        sources=tuple(dict.fromkeys(uid for row in run for uid in sources[row.id])),
    )


def _origin(row: MemoryVersionRow, version_id: UUID, messages: Sequence[ArchivedMessage]) -> Origin:
    return Origin(
        version_id=version_id,
        content=row.content,
        asserted_at=row.asserted_at,
        recorded_at=row.recorded_at,
        made_by=row.made_by,
        model=row.model,
        prompt_version=row.prompt_version,
        run_id=row.run_id,
        messages=tuple(sorted(messages, key=lambda message: (message.sent_at, message.room_id, message.seq))),
    )


def _derived(row: MemoryVersionRow) -> DerivedMemory:
    owner = Owner("user", row.user_id) if row.user_id else Owner("company", cast("UUID", row.company_id))
    return DerivedMemory(
        owner=owner,
        slug=row.slug,
        content=row.content,
        kind=row.kind,
        asserted_at=row.asserted_at,
        version_id=row.id,
        is_current=row.is_current,
    )
