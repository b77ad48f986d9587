"""The client of chat services: `async with MemoryClient.connect() as memory: await memory.record_turn(...)`."""

import asyncio
import os
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, Self
from uuid import uuid4

from afterturn_client.errors import InvalidFieldError, RecordingFailedError
from afterturn_client.messages import Message, encode_entry, new_message
from afterturn_client.recording import BATCH_SIZE, Appended, record_entries
from afterturn_client.redis_connection import REDIS_ERRORS, AnyRedis, open_redis
from afterturn_client.rooms import check_id, check_room_id, user_of_room
from afterturn_client.waking import RoomWaker, open_temporal, temporal_starter

_LONGEST_TURN_ID = 190


@dataclass(frozen=True, slots=True)
class TurnReceipt:
    """Redis has the messages; the ids are what to ask about them by."""

    room_id: str
    message_ids: tuple[str, ...]
    state: Literal["buffered"] = "buffered"


class MemoryClient:
    """Records turns within one Redis round trip, and wakes Temporal in the background."""

    def __init__(
        self, redis: AnyRedis, waker: RoomWaker, *, batch_size: int = BATCH_SIZE, seconds: float = 2.0
    ) -> None:
        self._redis = redis
        self._batch_size = batch_size
        self._seconds = seconds
        self.waker = waker

    @classmethod
    @asynccontextmanager
    async def connect(
        cls,
        redis_url: str | None = None,
        temporal_address: str | None = None,
        *,
        temporal_namespace: str | None = None,
        redis_cluster: bool = False,
        batch_size: int = BATCH_SIZE,
        seconds: float = 2.0,
        close_grace_seconds: float = 2.0,
    ) -> AsyncIterator[Self]:
        """Open a client for the running loop, from `REDIS_URL` and Temporal's own variables where not told otherwise.

        Neither server is reached before the first turn. `batch_size` is the workers' `BATCH_SIZE`; `seconds` is the
        longest a recording may take.
        """
        url = redis_url or os.environ.get("REDIS_URL") or "redis://localhost:6379/0"
        waker = RoomWaker(temporal_starter(await open_temporal(temporal_address, temporal_namespace)))
        redis = open_redis(url, cluster=redis_cluster, connect_seconds=seconds / 2, answer_seconds=seconds)
        try:
            yield cls(redis, waker, batch_size=batch_size, seconds=seconds)
        finally:
            try:
                await waker.aclose(close_grace_seconds)
            finally:
                await redis.aclose()

    async def record_turn(  # noqa: PLR0913  a turn has this many parts, each by name
        self,
        room_id: str,
        *,
        user: str,
        assistant: str | None = None,
        tool_calls: Sequence[Mapping[str, Any]] | None = None,
        user_id: str | None = None,
        company_id: str | None = None,
        turn_id: str | None = None,
        sent_at: datetime | None = None,
        metadata: Mapping[str, Any] | None = None,
        remember: bool = True,
    ) -> TurnReceipt:
        """Record what the user said with the reply and its tool calls.

        `user_id` may be left out in a person's own room only. The messages' ids come from `turn_id`, so that recording
        the same turn again is safe; without one, catch `RecordingFailedError` and record its messages again.
        """
        check_room_id(room_id)
        turn = turn_id if turn_id is not None else uuid4().hex
        check_id("turn_id", turn)
        if len(turn) > _LONGEST_TURN_ID:
            raise InvalidFieldError("turn_id", f"at most {_LONGEST_TURN_ID} characters")
        shared = {
            "user_id": _speaker(room_id, user_id),
            "company_id": company_id,
            "sent_at": sent_at,
            "metadata": dict(metadata or {}),
            "remember": remember,
        }
        messages = [new_message(id=f"{turn}:user", role="user", content=user, **shared)]
        if assistant is not None or tool_calls:
            reply = {"content": assistant, "tool_calls": tuple(dict(call) for call in tool_calls or ())}
            messages.append(new_message(id=f"{turn}:assistant", role="assistant", **reply, **shared))
        return await self.record(room_id, messages)

    async def record(self, room_id: str, messages: Sequence[Message]) -> TurnReceipt:
        """Record messages in their order, all or none, giving each the id, time and person that it lacks."""
        check_room_id(room_id)
        if not messages:
            raise InvalidFieldError("messages", "at least one")
        now = datetime.now(UTC)
        complete = [_completed(room_id, message, now) for message in messages]
        appended = await self._append(room_id, complete)
        if appended.wake:
            self.waker.wake(room_id, complete[0].company_id or complete[0].user_id)
        return TurnReceipt(room_id, tuple(message.id or "" for message in complete))

    async def _append(self, room_id: str, messages: Sequence[Message]) -> Appended:
        entries = [encode_entry(message) for message in messages]
        try:
            async with asyncio.timeout(self._seconds):
                return await record_entries(self._redis, room_id, entries, batch_size=self._batch_size)
        except REDIS_ERRORS as error:
            raise RecordingFailedError(room_id, messages, _cause(error)) from None


def _speaker(room_id: str, user_id: str | None) -> str:
    known = user_id if user_id is not None else user_of_room(room_id)
    if known is None:
        raise InvalidFieldError("user_id", "the id of the person who speaks, as the room is nobody's own")
    return known


def _completed(room_id: str, message: Message, now: datetime) -> Message:
    missing: dict[str, object] = {}
    if message.id is None:
        missing["id"] = uuid4().hex
    if message.sent_at is None:
        missing["sent_at"] = now
    if message.user_id is None and (message.role == "user" or user_of_room(room_id)):
        missing["user_id"] = _speaker(room_id, None)
    return message.model_copy(update=missing) if missing else message


def _cause(error: Exception) -> str:
    """Say what is wrong in our own words: a server's error may quote the command."""
    return "Redis is full" if "OOM" in str(error) else type(error).__name__
