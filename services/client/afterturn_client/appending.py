"""Appends of one loop share round trips: what is recorded while one is under way goes out together in the next."""

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from afterturn_client.recording import Appended, append_each, record_entries
from afterturn_client.redis_connection import CONNECTIONS, AnyRedis

# Redis serves nobody else while it works through what came in one piece.
MOST_BYTES = 1024 * 1024
_MOST_APPENDS = 256


@dataclass(frozen=True, slots=True)
class _Waiting:
    room_id: str
    entries: Sequence[bytes]
    answer: asyncio.Future[Appended]


class Appender:
    """Appends to buffers in the order of the calls.

    Each caller waits for the acknowledgement of its own entries. The first one sends by itself, with nothing between it
    and Redis; nobody is made to wait so that a group may grow. On a cluster, where keys live on several nodes, each
    goes alone.
    """

    def __init__(self, redis: AnyRedis, *, batch_size: int, seconds: float) -> None:
        self._redis = redis
        self._batch_size = batch_size
        self._seconds = seconds
        # redis-py's cluster client does not wait for a connection: with none left it fails.
        self._connections = asyncio.Semaphore(CONNECTIONS)
        self._waiting: deque[_Waiting] = deque()
        self._is_sending = False
        self._sender: asyncio.Task[None] | None = None

    async def append(self, room_id: str, entries: Sequence[bytes]) -> Appended:
        """Raise what redis-py raises, or a `TimeoutError`, when the entries are not acknowledged in time."""
        async with asyncio.timeout(self._seconds):
            try:
                return await self._append(room_id, entries)
            except RedisConnectionError:
                # The connection was cut, by a restart or by whatever lies between. Messages have ids by now: should
                # they have been stored all the same, a second time does no harm.
                return await self._append(room_id, entries)

    async def aclose(self) -> None:
        """Wait for what is under way; its callers do, too."""
        while self._sender is not None:
            await asyncio.wait([self._sender])

    async def _append(self, room_id: str, entries: Sequence[bytes]) -> Appended:
        if not isinstance(self._redis, Redis):
            async with self._connections:
                return await record_entries(self._redis, room_id, entries, batch_size=self._batch_size)
        if self._is_sending:
            return await self._queued(room_id, entries)
        return await self._alone(room_id, entries)

    async def _alone(self, room_id: str, entries: Sequence[bytes]) -> Appended:
        self._is_sending = True
        try:
            return await record_entries(self._redis, room_id, entries, batch_size=self._batch_size)
        finally:
            self._send_waiting()

    async def _queued(self, room_id: str, entries: Sequence[bytes]) -> Appended:
        waiting = _Waiting(room_id, entries, asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        return await waiting.answer

    def _send_waiting(self) -> None:
        if self._waiting:
            self._sender = asyncio.create_task(self._send_all())
        else:
            self._is_sending = False

    async def _send_all(self) -> None:
        try:
            while group := self._next_group():
                await self._send(group)
        finally:
            self._is_sending = False
            self._sender = None

    def _next_group(self) -> list[_Waiting]:
        """Take from the front; a caller that has given up is told of a failure, so nothing of it may be sent."""
        group: list[_Waiting] = []
        size = 0
        while self._waiting and len(group) < _MOST_APPENDS and size < MOST_BYTES:
            waiting = self._waiting.popleft()
            if not waiting.answer.done():
                group.append(waiting)
                size += sum(map(len, waiting.entries))
        return group

    async def _send(self, group: Sequence[_Waiting]) -> None:
        answers: Sequence[Appended | Exception]
        try:
            appends = [(waiting.room_id, waiting.entries) for waiting in group]
            async with asyncio.timeout(self._seconds):
                answers = await append_each(self._redis, appends, batch_size=self._batch_size)
        except Exception as error:  # noqa: BLE001  it is each caller's own to handle
            answers = [error] * len(group)
        for waiting, answer in zip(group, answers, strict=True):
            if waiting.answer.done():
                continue
            if isinstance(answer, Exception):
                waiting.answer.set_exception(answer)
            else:
                waiting.answer.set_result(answer)
