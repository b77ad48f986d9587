"""Messages that wait in this process's memory until Redis is back: only for callers that asked for it."""

import asyncio
import logging
from collections import deque
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from itertools import islice

from afterturn_client.appending import MOST_BYTES
from afterturn_client.errors import ApiRefusedError, ClientError, RecordingFailedError, UnsentMessagesError
from afterturn_client.messages import Message, encode_entry
from afterturn_client.recorders import Recorder

logger = logging.getLogger(__name__)

_FIRST_PAUSE_SECONDS = 0.1
_LONGEST_PAUSE_SECONDS = 2.0
# What the API takes in one request. To Redis it is one append, which is bounded by its bytes as all of them are.
_SENT_AT_ONCE = 100


@dataclass(frozen=True, slots=True)
class _Waiting:
    message: Message
    size: int


class OutageQueue:
    """Takes messages that were not acknowledged and sends them again, a room's in their order, until they are.

    It holds `most` messages and refuses more. A crash of the process loses what waits here: it is no promise, only a
    bridge over a restart of Redis. `waiting` says how many there are. What the API refuses for good waits no longer and
    holds up no other; it is kept to be handed back, and `refused` says how many these are.
    """

    def __init__(self, recorder: Recorder, most: int) -> None:
        self._recorder = recorder
        self._most = most
        self._rooms: dict[str, deque[_Waiting]] = {}
        self._refused: dict[str, list[Message]] = {}
        self._sender: asyncio.Task[None] | None = None

    @property
    def waiting(self) -> int:
        return sum(map(len, self._rooms.values()))

    @property
    def refused(self) -> int:
        return sum(map(len, self._refused.values()))

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
        """Send what waits if that can be done in time; raise `UnsentMessagesError` with what is left or was refused."""
        sender = self._sender
        if sender is not None:
            await asyncio.wait([sender], timeout=grace_seconds)
            sender.cancel()
            with suppress(asyncio.CancelledError):
                await sender
        if self._rooms or self._refused:
            error = UnsentMessagesError(self._kept(), self._refused)
            logger.error("The client was closed: %s", error)
            raise error

    def _kept(self) -> dict[str, list[Message]]:
        """Give what was not acknowledged; what was refused was said before what waits."""
        kept = {room_id: list(messages) for room_id, messages in self._refused.items()}
        for room_id, waiting in self._rooms.items():
            kept.setdefault(room_id, []).extend(one.message for one in waiting)
        return kept

    def _add(self, room_id: str, messages: Sequence[Message], full: str) -> None:
        if self.waiting + self.refused + len(messages) > self._most:
            raise RecordingFailedError(room_id, messages, full)
        # What is too large must not be found out when nobody listens.
        waiting = [_Waiting(message, len(encode_entry(message))) for message in messages]
        self._rooms.setdefault(room_id, deque()).extend(waiting)
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
        logger.warning("No message waits in memory any more")

    async def _send(self, room_id: str) -> bool:
        """Send a room's messages; they leave the queue only once they are acknowledged or refused for good.

        A group that is refused is halved, until it is taken or is the one message that cannot be.
        """
        waiting = self._rooms[room_id]
        most = _SENT_AT_ONCE
        while waiting:
            group = _group(islice(waiting, most))
            try:
                await self._recorder.record(room_id, group)
            except ApiRefusedError as error:
                if error.status == HTTPStatus.UNAUTHORIZED:
                    return False  # it says nothing about the messages, and whoever keeps the keys may mend it
                if len(group) > 1:
                    most = len(group) // 2
                    continue
                self._set_aside(room_id, group[0], error)
            except ClientError:
                return False
            else:
                most = min(2 * most, _SENT_AT_ONCE)
            for _ in group:
                waiting.popleft()
        del self._rooms[room_id]
        return True

    def _set_aside(self, room_id: str, message: Message, error: ApiRefusedError) -> None:
        if room_id not in self._refused:
            logger.error("Messages of a room that waited are handed back when the client is closed: %s", error)
        self._refused.setdefault(room_id, []).append(message)


def _group(waiting: Iterable[_Waiting]) -> list[Message]:
    """Take from the front what goes out at once: at least one message, else no more than `MOST_BYTES`."""
    group: list[Message] = []
    size = 0
    for one in waiting:
        size += one.size
        if group and size > MOST_BYTES:
            break
        group.append(one.message)
    return group
