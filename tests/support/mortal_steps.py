"""Counts the boundaries that a save passes, and dies with SIGKILL at one of them."""

import asyncio
import os
import random
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
from sqlalchemy.ext.asyncio import AsyncSession

from services.postgres.database import Database, Tenant


class Boundaries:
    """The boundary with the number `fatal` is the last one; None never dies."""

    def __init__(self, fatal: int | None) -> None:
        self._fatal = fatal
        self._passed = 0

    @property
    def is_last(self) -> bool:
        """Count one more, and tell whether it is the fatal one."""
        self._passed += 1
        return self._passed == self._fatal

    def step(self) -> None:
        if self.is_last:
            die()


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class MortalDatabase(Database):
    """Postgres as it is; each transaction has a boundary before its commit and one after."""

    def __init__(self, inner: Database, boundaries: Boundaries) -> None:
        self._inner = inner
        self._boundaries = boundaries

    @asynccontextmanager
    async def transaction(self, tenant: Tenant | None = None) -> AsyncIterator[AsyncSession]:
        async with self._inner.transaction(tenant) as session:
            yield session
            self._boundaries.step()
        self._boundaries.step()


class MortalTransport(httpx.AsyncBaseTransport):
    """HTTP as it is, with a boundary before each request, one while it is under way, and one after the answer.

    Now and then a loop that was closed is found when the answer comes, as it is for a client that outlived its loop.
    """

    def __init__(self, boundaries: Boundaries, chance: random.Random, closed_loops: float) -> None:
        self._inner = httpx.AsyncHTTPTransport(verify=False)
        self._boundaries = boundaries
        self._chance = chance
        self._closed_loops = closed_loops

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self._boundaries.step()
        under_way = asyncio.ensure_future(self._inner.handle_async_request(request))
        if self._boundaries.is_last:
            await asyncio.wait({under_way}, timeout=self._chance.uniform(0.0, 0.01))
            die()
        response = await under_way
        await response.aread()
        self._boundaries.step()
        if self._chance.random() < self._closed_loops:
            raise RuntimeError("Event loop is closed")
        return response

    async def aclose(self) -> None:
        await self._inner.aclose()
