"""Where a client hands messages over."""

from collections.abc import Sequence
from typing import Protocol

from afterturn_client.appending import Appender
from afterturn_client.errors import RecordingFailedError
from afterturn_client.messages import Message, encode_entry
from afterturn_client.redis_connection import REDIS_ERRORS
from afterturn_client.waking import RoomWaker


class Recorder(Protocol):
    async def record(self, room_id: str, messages: Sequence[Message]) -> None:
        """Return when the messages are acknowledged, all or none; raise `RecordingFailedError` when they are not."""


class RedisRecorder:
    """Appends to the room's buffer in one round trip, and wakes the room in the background where that is needed."""

    def __init__(self, appender: Appender, waker: RoomWaker) -> None:
        self._appender = appender
        self._waker = waker

    async def record(self, room_id: str, messages: Sequence[Message]) -> None:
        entries = [encode_entry(message) for message in messages]
        try:
            appended = await self._appender.append(room_id, entries)
        except REDIS_ERRORS as error:
            raise RecordingFailedError(room_id, messages, _cause(error)) from None
        if appended.wake:
            self._waker.wake(room_id, messages[0].company_id or messages[0].user_id)


def _cause(error: Exception) -> str:
    """Say what is wrong in our own words: a server's error may quote the command."""
    return "Redis is full" if "OOM" in str(error) else type(error).__name__
