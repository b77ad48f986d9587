"""Opens what a client needs, on the running loop, and closes it there."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Self

import httpx
from temporalio.client import Client

from afterturn_client.api import MemoryApi
from afterturn_client.appending import Appender
from afterturn_client.environment import given
from afterturn_client.outage_queue import OutageQueue
from afterturn_client.recorders import Recorder, RedisRecorder
from afterturn_client.redis_connection import open_redis
from afterturn_client.waking import RoomWaker, temporal_starter

_LOCAL_REDIS = "redis://localhost:6379/0"
# Longer than the API lets a request wait for a receipt.
_ANSWER_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where turns are recorded, and where memory is read."""

    redis_url: str | None
    api_url: str | None
    api_key: str | None

    @classmethod
    def found(cls, redis_url: str | None, api_url: str | None, api_key: str | None) -> Self:
        """Take what the caller says, and the environment for what it leaves open.

        Who names the API alone records over it, whatever `REDIS_URL` is: that may be the caller's own Redis.
        """
        redis = redis_url or (None if api_url else given("REDIS_URL"))
        api = api_url or given("AFTERTURN_API_URL")
        key = api_key or given("AFTERTURN_API_KEY")
        return cls(redis or (None if api else _LOCAL_REDIS), api, key)


@asynccontextmanager
async def open_redis_recorder(
    url: str,
    temporal: Client,
    *,
    cluster: bool,
    batch_size: int,
    seconds: float,
    close_grace_seconds: float,
) -> AsyncIterator[tuple[RedisRecorder, RoomWaker]]:
    redis = open_redis(url, cluster=cluster, answer_seconds=seconds)
    appender = Appender(redis, batch_size=batch_size, seconds=seconds)
    waker = RoomWaker(temporal_starter(temporal))
    try:
        yield RedisRecorder(appender, waker), waker
    finally:
        try:
            await appender.aclose()
            await waker.aclose(close_grace_seconds)
        finally:
            await redis.aclose()


@asynccontextmanager
async def open_api(addresses: Addresses, *, seconds: float, record_seconds: float) -> AsyncIterator[MemoryApi | None]:
    if addresses.api_url is None:
        yield None
        return
    headers = {"Authorization": f"Bearer {addresses.api_key}"} if addresses.api_key else {}
    async with httpx.AsyncClient(
        base_url=addresses.api_url.rstrip("/"),
        headers=headers,
        timeout=httpx.Timeout(_ANSWER_SECONDS, connect=min(seconds, 5.0)),
    ) as http:
        yield MemoryApi(http, seconds=seconds, record_seconds=record_seconds)


@asynccontextmanager
async def open_outage_queue(
    recorder: Recorder, most: int, *, close_grace_seconds: float
) -> AsyncIterator[OutageQueue | None]:
    if most <= 0:
        yield None
        return
    queue = OutageQueue(recorder, most)
    try:
        yield queue
    finally:
        await queue.aclose(close_grace_seconds)
