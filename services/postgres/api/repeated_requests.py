"""Remembers for a day what a request was answered, so that repeating it answers the same.

Nothing of it can be read in the table: what is kept is hashed and sealed with the request itself.
"""

from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID, uuid4

from sqlalchemy import ColumnElement, and_, delete, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert

from services.postgres.api.sealed_answers import Answered, RequestKey
from services.postgres.database import Database
from services.postgres.tables.api import IdempotencyKeyRow

KEPT = timedelta(hours=24)
# Whoever answers a request longer than this is taken for dead.
ANSWERING = timedelta(minutes=2)


@dataclass(frozen=True, slots=True)
class Mine:
    """The request is the caller's to answer; `token` says so when it is done."""

    token: UUID


@dataclass(frozen=True, slots=True)
class Standing:
    """The key was used before; `answered` is None for another request, and while the first is being answered."""

    is_same: bool
    answered: Answered | None


class RepeatedRequests:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def begin(self, key: RequestKey, request: bytes) -> Mine | Standing:
        """Take the key, or say what it was used for."""
        row, token = IdempotencyKeyRow, uuid4()
        fingerprint = key.fingerprint(request)
        taken = {"fingerprint": fingerprint, "token": token, "status": None, "location": None, "body": None}
        over = or_(
            row.created_at < func.now() - KEPT, and_(row.status.is_(None), row.created_at < func.now() - ANSWERING)
        )
        take = (
            insert(row)
            .values(**_names(key), **taken)
            .on_conflict_do_update(
                index_elements=["credential", "route", "key"], set_={**taken, "created_at": func.now()}, where=over
            )
            .returning(row.token)
        )
        async with self._database.transaction() as session:
            if await session.scalar(take):
                return Mine(token)
            # Let go between the two statements, it counts as being answered: the caller comes again.
            found = await session.scalar(select(row).where(*_is(key)))
        if found is None or found.fingerprint != fingerprint:
            return Standing(is_same=found is None, answered=None)
        return Standing(is_same=True, answered=key.opened(request, found.body) if found.body else None)

    async def answered(self, key: RequestKey, request: bytes, mine: Mine, answer: Answered) -> None:
        row = IdempotencyKeyRow
        values = {"status": answer.status, "body": key.sealed(request, answer)}
        async with self._database.transaction() as session:
            await session.execute(update(row).where(*_is(key), row.token == mine.token).values(values))

    async def let_go(self, key: RequestKey, mine: Mine) -> None:
        """Forget a request that came to nothing, so that it may be tried again."""
        row = IdempotencyKeyRow
        async with self._database.transaction() as session:
            await session.execute(delete(row).where(*_is(key), row.token == mine.token))


def _names(key: RequestKey) -> dict[str, str]:
    # The credential is in the key's hash; its own column is of a time when it was not.
    return {"credential": "hashed", "route": key.route, "key": key.hashed()}


def _is(key: RequestKey) -> list[ColumnElement[bool]]:
    return [getattr(IdempotencyKeyRow, column) == value for column, value in _names(key).items()]
