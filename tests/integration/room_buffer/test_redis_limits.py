"""How long Redis is waited for, whatever is asked of it."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from afterturn_client.redis_connection import AnyRedis, open_redis
from redis.exceptions import TimeoutError as LateError

from tests.support.servers import stopped


async def ask_in_a_pipeline(redis: AnyRedis) -> list[Any]:
    async with redis.pipeline() as pipe:
        pipe.get("{room}:a")
        pipe.incr("{room}:b")
        return list(await pipe.execute())


async def ask_at_once(redis: AnyRedis) -> list[Any]:
    return [await redis.get("{room}:a"), await redis.incr("{room}:b")]


async def ask_by_a_script(redis: AnyRedis) -> list[Any]:
    ask = redis.register_script("return {redis.call('get', KEYS[1]), redis.call('incr', KEYS[2])}")
    return list(await ask(keys=["{room}:a", "{room}:b"]))


WAYS = [ask_in_a_pipeline, ask_at_once, ask_by_a_script]
Ask = Callable[[AnyRedis], Awaitable[list[Any]]]


@pytest.mark.parametrize("ask", WAYS)
async def test_a_redis_that_hangs_is_late(redis: AnyRedis, redis_url: str, ask: Ask) -> None:
    await hang(redis, redis_url, ask, cluster=False)


@pytest.mark.parametrize("ask", WAYS)
async def test_a_cluster_that_hangs_is_late(cluster: AnyRedis, cluster_url: str, ask: Ask) -> None:
    await hang(cluster, cluster_url, ask, cluster=True)


async def hang(patient: AnyRedis, url: str, ask: Ask, *, cluster: bool) -> None:
    """Ask where nobody answers, and then again where the servers go on."""
    await patient.set("{room}:a", "first")
    async with open_redis(url, cluster=cluster, answer_seconds=0.5) as hurried:
        await until_asked(hurried, ask)
        with stopped(await processes(patient, cluster=cluster)):
            async with asyncio.timeout(60):
                for _ in range(3):
                    with pytest.raises(LateError):
                        await ask(hurried)
        await patient.set("{room}:a", "second")
        assert (await until_asked(hurried, ask))[0] == b"second"


async def processes(redis: AnyRedis, *, cluster: bool) -> list[int]:
    if not cluster:
        return [(await redis.info("server"))["process_id"]]
    told = await redis.execute_command("INFO", "server", target_nodes="all")
    return [node["process_id"] for node in told.values()]


async def until_asked(redis: AnyRedis, ask: Ask) -> list[Any]:
    """Ask as often as it takes on a busy machine."""
    async with asyncio.timeout(60):
        while True:
            try:
                return await ask(redis)
            except LateError:
                await asyncio.sleep(0.01)
