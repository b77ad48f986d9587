"""Messages that wait in this process's memory until Redis is back: only for callers that asked for it."""

import asyncio
import logging
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from itertools import islice

from afterturn_client.errors import ClientError, RecordingFailedError, UnsentMessagesError
from afterturn_client.messages import Message, encode_entry
from afterturn_client.recorders import Recorder

logger = logging.getLogger(__name__)

_FIRST_PAUSE_SECONDS = 0.1
_LONGEST_PAUSE_SECONDS = 2.0
# One append to Redis, which serves nobody else meanwhile.
_SENT_AT_ONCE = 100


class OutageQueue:
    """Takes messages that were not acknowledged and sends them again, a room's in their order, until they are.

    It holds `most` messages and refuses more. A crash of the process loses what waits here: it is no promise, only a
    bridge over a restart of Redis. `waiting` says how many there are.
    """

    def __init__(self, recorder: Recorder, most: int) -> None:
        self._recorder = recorder
        self._most = most
        self._rooms: dict[str, deque[Message]] = {}
        self._sender: asyncio.Task[None] | None = None

    @property
    def waiting(self) -> int:
        return sum(map(len, self._rooms.values()))

    async def record(self, room_id: str, messages: Sequence[Message]) -> bool:
        """Answer whether the messages are acknowledged; where not, they wait here.

        A room with messages that wait gets no others past them. Raise `RecordingFailedError` where there is no room.
        """
        if room_id in self._rooms:
            self._add(room_id, messages, "others of the room wait for Redis, and the queue is full")
            return False
        try:
            await self._recorder.record(room_id, messages)
        except RecordingFailedError as error:
            self._add(room_id, messages, f"{error.cause}, and the queue is full")
            return False
        return True

    async def aclose(self, grace_seconds: float) -> None:
        """Send what waits if that can be done in time; raise `UnsentMessagesError` with what is left."""
        sender = self._sender
        if sender is not None:
            await asyncio.wait([sender], timeout=grace_seconds)
            sender.cancel()
            with suppress(asyncio.CancelledError):
                await sender
        if self._rooms:
            logger.error("%d messages that waited for Redis were never sent: the client was closed", self.waiting)
            raise UnsentMessagesError({room_id: list(waiting) for room_id, waiting in self._rooms.items()})

    def _add(self, room_id: str, messages: Sequence[Message], full: str) -> None:
        if self.waiting + len(messages) > self._most:
            raise RecordingFailedError(room_id, messages, full)
        for message in messages:
            encode_entry(message)  # what is too large must not be found out when nobody listens
        self._rooms.setdefault(room_id, deque()).extend(messages)
        if self._sender is None:
            logger.warning("Redis does not acknowledge; messages wait in memory until it does")
            self._sender = asyncio.create_task(self._send_all())

    async def _send_all(self) -> None:
        pause = _FIRST_PAUSE_SECONDS
        while self._rooms:
            await asyncio.sleep(pause)
            sent = [await self._send(room_id) for room_id in list(self._rooms)]
            pause = _FIRST_PAUSE_SECONDS if any(sent) else min(2 * pause, _LONGEST_PAUSE_SECONDS)
        self._sender = None
        logger.warning("All messages that waited in memory are sent")

    async def _send(self, room_id: str) -> bool:
        """Send a room's messages; they leave the queue only once they are acknowledged."""
        waiting = self._rooms[room_id]
        while waiting:
            group = list(islice(waiting, _SENT_AT_ONCE))
            try:
                await self._recorder.record(room_id, group)
            except ClientError:
                return False
            for _ in group:
                waiting.popleft()
        del self._rooms[room_id]
        return True
