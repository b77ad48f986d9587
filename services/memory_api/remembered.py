"""Answers that are asked for again only after a while, and stand in while nobody can be asked."""

import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

from services.domain.errors import TransientError

KeyT = TypeVar("KeyT", bound=Hashable)
ValueT = TypeVar("ValueT")


class Remembered(Generic[KeyT, ValueT]):
    """Keeps the last `most` answers. One is fresh for `seconds`; it counts on for `seconds_away` in an outage."""

    def __init__(
        self,
        *,
        seconds: float,
        seconds_away: float,
        most: int = 10_000,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._seconds = seconds
        self._seconds_away = seconds_away
        self._most = most
        self._clock = clock
        self._known: OrderedDict[KeyT, tuple[float, ValueT]] = OrderedDict()

    async def get(self, key: KeyT, ask: Callable[[], Awaitable[ValueT | None]]) -> ValueT | None:
        """Give the answer, asking where it is not fresh; None is never kept. One outlasts a `TransientError`."""
        known = self._known.get(key)
        now = self._clock()
        if known and now - known[0] < self._seconds:
            return known[1]
        return await self.again(key, ask)

    async def again(self, key: KeyT, ask: Callable[[], Awaitable[ValueT | None]]) -> ValueT | None:
        """Ask although the answer may be fresh."""
        known = self._known.get(key)
        now = self._clock()
        try:
            answer = await ask()
        except TransientError:
            if known and now - known[0] < self._seconds_away:
                return known[1]
            raise
        self._keep(key, answer, now)
        return answer

    def learn(self, key: KeyT, answer: ValueT) -> None:
        """Keep an answer that was not asked for."""
        self._keep(key, answer, self._clock())

    def forget(self, key: KeyT | None = None) -> None:
        """Forget one answer, or all of them."""
        if key is None:
            self._known.clear()
        else:
            self._known.pop(key, None)

    def _keep(self, key: KeyT, answer: ValueT | None, now: float) -> None:
        self._known.pop(key, None)
        if answer is None:
            return
        self._known[key] = (now, answer)
        if len(self._known) > self._most:
            self._known.popitem(last=False)
