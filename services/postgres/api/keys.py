"""Keeps API keys: made, listed, revoked, looked up."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import cast
from uuid import UUID, uuid4

from sqlalchemy import ColumnElement, and_, func, select, true, tuple_, update

from services.domain.credentials import NewKey, Scope
from services.postgres.database import Database
from services.postgres.tables.api import ApiKeyRow


@dataclass(frozen=True, slots=True)
class Binding:
    """Whom a key is bound to: a person, a company, a person inside one company, or nobody."""

    user_id: str | None = None
    company_id: str | None = None

    @property
    def is_nobody(self) -> bool:
        return self.user_id is None and self.company_id is None


@dataclass(frozen=True, slots=True)
class ApiKey:
    id: UUID
    name: str
    prefix: str
    hash: bytes
    scopes: tuple[Scope, ...]
    binding: Binding
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None


class ApiKeys:
    """Read and written as the system: a key is looked up before anybody knows whose it is.

    With `within`, only the keys of that very binding are seen.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(
        self, key: NewKey, *, name: str, scopes: Sequence[Scope], binding: Binding, expires_at: datetime | None
    ) -> ApiKey:
        row = ApiKeyRow(
            id=uuid4(),
            name=name,
            prefix=key.prefix,
            hash=key.hash,
            scopes=sorted(set(scopes)),
            user_id=binding.user_id,
            company_id=binding.company_id,
            expires_at=expires_at,
        )
        async with self._database.transaction() as session:
            session.add(row)
            await session.flush()
            await session.refresh(row)
        return _key(row)

    async def find(self, prefix: str) -> ApiKey | None:
        async with self._database.transaction() as session:
            row = await session.scalar(select(ApiKeyRow).where(ApiKeyRow.prefix == prefix))
        return _key(row) if row else None

    async def page(
        self, *, after: tuple[datetime, UUID] | None = None, limit: int = 100, within: Binding | None = None
    ) -> list[ApiKey]:
        """Page through the keys, revoked ones included, the oldest first."""
        wanted = select(ApiKeyRow).where(_in(within)).order_by(ApiKeyRow.created_at, ApiKeyRow.id).limit(limit)
        if after is not None:
            wanted = wanted.where(tuple_(ApiKeyRow.created_at, ApiKeyRow.id) > after)
        async with self._database.transaction() as session:
            return [_key(row) for row in await session.scalars(wanted)]

    async def revoke(self, key: UUID, *, within: Binding | None = None) -> ApiKey | None:
        """Revoke a key, again without effect; None where there is none."""
        revoked = func.coalesce(ApiKeyRow.revoked_at, func.now())
        change = update(ApiKeyRow).where(ApiKeyRow.id == key, _in(within)).values(revoked_at=revoked)
        async with self._database.transaction() as session:
            row = await session.scalar(change.returning(ApiKeyRow))
        return _key(row) if row else None

    async def any_made(self) -> bool:
        """Whether there is a key, though it may be revoked or over."""
        async with self._database.transaction() as session:
            return bool(await session.scalar(select(select(ApiKeyRow.id).exists())))

    async def used(self, key: UUID) -> None:
        """Note that the key is in use."""
        async with self._database.transaction() as session:
            hour = func.date_trunc("hour", func.now())
            await session.execute(update(ApiKeyRow).where(ApiKeyRow.id == key).values(last_used_at=hour))


def _in(within: Binding | None) -> ColumnElement[bool]:
    if within is None:
        return true()
    return and_(
        ApiKeyRow.user_id.is_not_distinct_from(within.user_id),
        ApiKeyRow.company_id.is_not_distinct_from(within.company_id),
    )


def _key(row: ApiKeyRow) -> ApiKey:
    return ApiKey(
        id=row.id,
        name=row.name,
        prefix=row.prefix,
        hash=row.hash,
        scopes=tuple(cast("list[Scope]", row.scopes)),
        binding=Binding(row.user_id, row.company_id),
        created_at=row.created_at,
        expires_at=row.expires_at,
        revoked_at=row.revoked_at,
        last_used_at=row.last_used_at,
    )
