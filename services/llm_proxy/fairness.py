"""Bounds how many requests an upstream has at once, and lets tenants take turns for a place."""

import asyncio
from collections import Counter, OrderedDict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from services.llm_proxy.errors import too_many_waiting, waited_too_long
from services.llm_proxy.fair_queue import FairQueue

# A tenant counts as being about for so long after its last request.
_ABOUT_SECONDS = 60.0
# How much the newest request weighs in the mean time that a place is held.
_NEWEST = 0.2


class FairSlots:
    """Gives a place to the waiting tenant that holds fewest; those that hold equally many take turns.

    While other tenants are about, no tenant holds the last quarter of the places: whoever comes next need not wait
    until one of a flood's requests ends.
    """

    def __init__(self, upstream: str, *, capacity: int, max_waiting: int, clock: Callable[[], float]) -> None:
        self._upstream = upstream
        self._capacity = capacity
        self._clock = clock
        self._held: Counter[str] = Counter()
        self._in_use = 0
        self._waiting: FairQueue[asyncio.Future[None]] = FairQueue(max_waiting)
        self._last_asked: OrderedDict[str, float] = OrderedDict()
        self._mean_seconds = 1.0

    @property
    def in_use(self) -> int:
        return self._in_use

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    @asynccontextmanager
    async def slot(self, tenant: str, wait_seconds: float) -> AsyncIterator[None]:
        """Hold a place; raise 429 when too many wait already, 503 after `wait_seconds`."""
        self._note(tenant)
        if tenant in self._waiting or not self._has_room(tenant):
            await self._wait(tenant, wait_seconds)
        else:
            self._take(tenant)
        since = self._clock()
        try:
            yield
        finally:
            self._mean_seconds += _NEWEST * (self._clock() - since - self._mean_seconds)
            self._release(tenant)

    async def _wait(self, tenant: str, seconds: float) -> None:
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        dropped = self._waiting.put(tenant, place)
        # One that has just given up may still be in the queue.
        if dropped is not None and not dropped.done():
            dropped.set_exception(too_many_waiting(self._upstream, self._estimate()))
        try:
            async with asyncio.timeout(seconds):
                await place
        except BaseException as error:
            self._waiting.remove(tenant, place)
            if place.done() and not place.cancelled() and place.exception() is None:
                # Given to us at the very moment we gave up.
                self._release(tenant)
            if isinstance(error, TimeoutError):
                raise waited_too_long(self._upstream, self._estimate()) from None
            raise

    def _take(self, tenant: str) -> None:
        self._held[tenant] += 1
        self._in_use += 1

    def _release(self, tenant: str) -> None:
        self._in_use -= 1
        self._held[tenant] -= 1
        if not self._held[tenant]:
            del self._held[tenant]
        while (chosen := self._next()) is not None:
            place = self._waiting.take(chosen)
            if not place.done():
                self._take(chosen)
                place.set_result(None)

    def _next(self) -> str | None:
        able = (tenant for tenant in self._waiting if self._has_room(tenant))
        return min(able, key=lambda tenant: self._held[tenant], default=None)

    def _has_room(self, tenant: str) -> bool:
        return self._in_use < self._capacity and self._held[tenant] < self._share(tenant)

    def _share(self, tenant: str) -> int:
        if self._capacity == 1 or not self._others_are_about(tenant):
            return self._capacity
        return self._capacity - max(1, self._capacity // 4)

    def _others_are_about(self, tenant: str) -> bool:
        newest = (other for other in reversed(self._last_asked) if other != tenant)
        other = next(newest, None)
        return other is not None and self._clock() - self._last_asked[other] < _ABOUT_SECONDS

    def _note(self, tenant: str) -> None:
        now = self._clock()
        self._last_asked[tenant] = now
        self._last_asked.move_to_end(tenant)
        while now - next(iter(self._last_asked.values())) >= _ABOUT_SECONDS:
            self._last_asked.popitem(last=False)

    def _estimate(self) -> float:
        return min(60.0, self._mean_seconds * (1 + len(self._waiting) / self._capacity))
