"""Warms what a session will likely read when its first turn arrives: behind the caller's back, and only if it can.

The API does it when it records a turn; the worker when it archives one, as producers may write to Redis alone.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Protocol, Self

from services.domain.errors import InvalidInputError
from services.domain.memories import Owner, owner_of
from services.domain.room_owner import room_owner

# Whoever records must find a connection to Postgres: so few warmings have one at a time, and so many wait.
_AT_ONCE = 4
_MOST_WAITING = 1_000
# Within it a session is not asked for again here; the store itself knows for longer.
_SECONDS = 600.0
_MOST_KNOWN = 10_000

logger = logging.getLogger(__name__)


class Said(Protocol):
    @property
    def role(self) -> str: ...
    @property
    def user_id(self) -> str | None: ...
    @property
    def company_id(self) -> str | None: ...


class Warms(Protocol):
    async def warm(self, owner: Owner, session_id: str) -> int:
        """Bring into Redis what the session will likely read; only the first time costs."""


class Prefetching:
    def __init__(self, sections: Warms) -> None:
        self._sections = sections
        self._slots = asyncio.Semaphore(_AT_ONCE)
        self._tasks: set[asyncio.Task[None]] = set()
        self._arrived: dict[tuple[Owner, str], float] = {}

    @classmethod
    @asynccontextmanager
    async def open(cls, sections: Warms) -> AsyncIterator[Self]:
        prefetching = cls(sections)
        try:
            yield prefetching
        finally:
            await prefetching._stop()

    def turn_arrived(self, owner: Owner, session_id: str) -> None:
        """Return at once; where too many wait the session is not warmed, and reads what it needs by itself."""
        now = time.monotonic()
        place = (owner, session_id)
        if now - self._arrived.get(place, float("-inf")) < _SECONDS or len(self._tasks) >= _MOST_WAITING:
            return
        self._arrived.pop(place, None)
        self._arrived[place] = now
        if len(self._arrived) > _MOST_KNOWN:
            del self._arrived[next(iter(self._arrived))]
        task = asyncio.create_task(self._warm(owner, session_id))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _warm(self, owner: Owner, session_id: str) -> None:
        try:
            async with self._slots:
                await self._sections.warm(owner, session_id)
        except Exception as error:  # noqa: BLE001  nobody waits for it
            logger.warning("a session was not warmed: %s", type(error).__name__)

    async def _stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


def reader_of(room_id: str, messages: Sequence[Said]) -> Owner | None:
    """Give whose values a turn will likely ask for: its speaker's, else its company's. None where that is no id."""
    user_id = next((one.user_id for one in messages if one.role == "user" and one.user_id is not None), None)
    company_id = next((one.company_id for one in messages if one.company_id), None)
    try:
        return owner_of("user", user_id) if user_id is not None else room_owner(room_id, None, company_id)
    except InvalidInputError:
        return None
