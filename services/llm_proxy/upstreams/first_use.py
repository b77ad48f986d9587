import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

OpenedT = TypeVar("OpenedT")


class FirstUse(Generic[OpenedT]):
    """Opens something when it is first asked for, once for everyone who asks meanwhile.

    Whoever stops waiting does not stop the opening. One that failed is tried again by the next who asks.
    """

    def __init__(self, open_it: Callable[[], Awaitable[OpenedT]]) -> None:
        self._open_it = open_it
        self._opening: asyncio.Task[OpenedT] | None = None

    async def get(self) -> OpenedT:
        if self._opening is None or _has_failed(self._opening):
            self._opening = asyncio.create_task(self._opened())
        return await asyncio.shield(self._opening)

    async def settled(self) -> None:
        """Wait until nothing is being opened, so that what was opened can be closed."""
        if self._opening is not None:
            await asyncio.wait({self._opening})
            _has_failed(self._opening)

    async def _opened(self) -> OpenedT:
        return await self._open_it()


def _has_failed(opening: asyncio.Task[OpenedT]) -> bool:
    # Asking for the exception also says that it was seen, should nobody have waited for it.
    return opening.done() and (opening.cancelled() or opening.exception() is not None)
