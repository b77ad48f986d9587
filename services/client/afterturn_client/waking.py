"""Wake a room's workflow off the caller's path."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import timedelta
from hashlib import sha256

from temporalio.client import Client
from temporalio.common import Priority

from afterturn_client import names

logger = logging.getLogger(__name__)

StartRoom = Callable[[str, str | None], Awaitable[None]]

_FAIRNESS_KEY_BYTES = 64
_SDK_SECONDS = 0.05


def fairness_key(owner: str | None) -> str | None:
    """Return the key that shares out the workers' time between owners.

    A long id is hashed, as Temporal takes 64 bytes.
    """
    if owner is None or len(owner) <= _FAIRNESS_KEY_BYTES:
        return owner
    return sha256(owner.encode()).hexdigest()


def temporal_starter(temporal: Client, rpc_seconds: float = 10.0) -> StartRoom:
    async def start(room_id: str, owner: str | None) -> None:
        await temporal.start_workflow(
            names.ROOM_MEMORY,
            {"room_id": room_id},
            id=names.room_memory_id(room_id),
            task_queue=names.MEMORY_QUEUE,
            start_signal=names.TURN_RECORDED,
            priority=Priority(fairness_key=fairness_key(owner)),
            rpc_timeout=timedelta(seconds=rpc_seconds),
        )

    return start


class RoomWaker:
    """Starts rooms in background tasks of the running loop.

    A wake that fails or does not fit is counted in `failed` and left to the sweep, which finds the room's buffer.
    """

    def __init__(self, start: StartRoom, *, seconds: float = 15.0, most_in_flight: int = 1_000) -> None:
        self._start = start
        self._seconds = seconds
        self._most_in_flight = most_in_flight
        self._tasks: set[asyncio.Task[None]] = set()
        self._complained = False
        self.sent = 0
        self.failed = 0

    def wake(self, room_id: str, owner: str | None) -> None:
        """Return at once."""
        if len(self._tasks) >= self._most_in_flight:
            self._count_failure("too many rooms are being woken")
            return
        task = asyncio.create_task(self._send(room_id, owner))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def aclose(self, grace_seconds: float) -> None:
        """Give pending wakes a moment, then drop them."""
        if not self._tasks:
            return
        _, late = await asyncio.wait(self._tasks, timeout=grace_seconds)
        for task in late:
            task.cancel()
        if late:
            await asyncio.gather(*late, return_exceptions=True)
            # The SDK's threads hear of it a moment later; a loop that is closed by then they would complain about.
            await asyncio.sleep(_SDK_SECONDS)

    async def _send(self, room_id: str, owner: str | None) -> None:
        try:
            async with asyncio.timeout(self._seconds):
                await self._start(room_id, owner)
        except asyncio.CancelledError:
            self.failed += 1
            raise
        except Exception as error:  # noqa: BLE001  whatever is wrong with Temporal must not reach a turn
            self._count_failure(type(error).__name__)
        else:
            self.sent += 1
            self._complained = False

    def _count_failure(self, reason: str) -> None:
        self.failed += 1
        if not self._complained:
            self._complained = True
            logger.warning("A room was not woken (%s); the sweep finds it. Not said again until one is woken.", reason)
