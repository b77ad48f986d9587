"""Lets one writer at a time at a brain record, in this process and among all: no connection is held meanwhile."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Collection, Coroutine
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any, TypeVar
from uuid import UUID, uuid4
from weakref import WeakValueDictionary

from sqlalchemy.ext.asyncio import AsyncSession

from services.domain.errors import AfterturnError, TransientError
from services.postgres.database import Database
from services.postgres.memories import intents
from services.postgres.memories.intents import Lease

_FIRST_LOOK = 0.05
_SELDOM = 1.0
TakenT = TypeVar("TakenT")
# Asks for the lease under a token, in a transaction; None while somebody else has it.
Take = Callable[[UUID, AsyncSession], Coroutine[Any, Any, TakenT | None]]


class HeldLease:
    """A lease that is ours, and what it lets us say of memories in Mem0."""

    def __init__(self, database: Database, lease: Lease) -> None:
        self._database = database
        self._lease = lease

    async def claim(self, memory_id: str) -> bool:
        async with self._database.transaction() as session:
            return await intents.claim(session, self._lease, memory_id)

    async def taken(self, memory_ids: Collection[str]) -> set[str]:
        async with self._database.transaction() as session:
            return await intents.taken_by_others(session, self._lease.brain_id, memory_ids)

    async def finish(self, session: AsyncSession) -> None:
        await intents.finish(session, self._lease)

    async def give_back(self, *, drop_payload: bool) -> None:
        async with self._database.transaction() as session:
            await intents.give_back(session, self._lease, drop_payload=drop_payload)


class Turns:
    """The queue before a brain record; `patience` is how long a writer waits, in seconds."""

    def __init__(self, database: Database, patience: float) -> None:
        self._database = database
        self._patience = patience
        self._here: WeakValueDictionary[UUID, asyncio.Lock] = WeakValueDictionary()

    @asynccontextmanager
    async def alone_here(self, brain: UUID) -> AsyncIterator[None]:
        """Wait for the other writers of this process, so that they need not look at Postgres again and again."""
        lock = self._here.setdefault(brain, asyncio.Lock())
        async with lock:
            yield

    async def wait(self, brain: UUID, take: Take[TakenT]) -> TakenT:
        """Take the lease when it is free; raise `TransientError` when it stays taken for too long."""
        token = uuid4()
        try:
            return await self._wait(partial(take, token))
        except BaseException:
            # Cut off while it was committed, it may be ours without our knowing it.
            with suppress(AfterturnError):
                await HeldLease(self._database, Lease(brain, token)).give_back(drop_payload=False)
            raise

    async def _wait(self, take: Callable[[AsyncSession], Coroutine[Any, Any, TakenT | None]]) -> TakenT:
        loop = asyncio.get_running_loop()
        until = loop.time() + self._patience
        pause = _FIRST_LOOK
        while True:
            async with self._database.transaction() as session:
                taken = await take(session)
            if taken is not None:
                return taken
            if loop.time() > until:
                raise TransientError("another writer of this memory does not come to an end")
            await asyncio.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311  so that they do not look all at once
            pause = min(2 * pause, _SELDOM)
