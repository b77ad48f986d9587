"""How Redis is reached: within time limits, and without trying again behind the caller's back."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.client import Pipeline
from redis.asyncio.cluster import ClusterPipeline, RedisCluster
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisClusterException, RedisError
from redis.exceptions import TimeoutError as LateError
from redis.maint_notifications import MaintNotificationsConfig

AnyRedis = Redis | RedisCluster
CONNECTIONS = 50
CONNECT_SECONDS = 5.0

# Of a server that is down, late, full or wrong; a TimeoutError is an OSError.
REDIS_ERRORS = (RedisError, RedisClusterException, OSError)


def open_redis(
    url: str,
    *,
    cluster: bool = False,
    answer_seconds: float = 2.0,
    connections: int = CONNECTIONS,
) -> AnyRedis:
    """Return a client for one event loop; close it with `aclose`.

    A command or pipeline that has no answer after `answer_seconds` fails; the wait for one of the `connections` counts,
    and that for the server to take it, `CONNECT_SECONDS` at the most. Nothing is ever sent twice by itself: where an
    answer was lost the command may have been carried out, and only its sender knows whether a second time does harm.
    """
    options: dict[str, Any] = {
        "retry": Retry(NoBackoff(), 0),
        # In a cluster half of the time is left to ask another node than one that is away.
        "socket_connect_timeout": min(CONNECT_SECONDS, answer_seconds / 2 if cluster else answer_seconds),
        # redis-py's own limit uses `asyncio.wait_for`, which before Python 3.12 loses a cancellation now and then.
        "socket_timeout": None,
        "max_connections": connections,
        # With them on, redis-py hands out connections that the server has closed: the first turns after a restart fail.
        "maint_notifications_config": MaintNotificationsConfig(enabled=False),
    }
    client: _LimitedCluster | _LimitedRedis
    if cluster:
        client = cast(_LimitedCluster, _LimitedCluster.from_url(url, **options))
    else:
        pool = BlockingConnectionPool.from_url(url, timeout=answer_seconds, **options)
        client = cast(_LimitedRedis, _LimitedRedis.from_pool(pool))
    client.answer_seconds = answer_seconds
    return client


@asynccontextmanager
async def _within(seconds: float) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError:
        raise LateError("Redis did not answer in time") from None


class _LimitedRedis(Redis):
    answer_seconds = 2.0

    async def execute_command(self, *args: Any, **options: Any) -> Any:  # noqa: ANN401  as redis-py has it
        async with _within(self.answer_seconds):
            return await super().execute_command(*args, **options)  # type: ignore[no-untyped-call]

    def pipeline(self, transaction: bool = True, shard_hint: str | None = None) -> Pipeline:  # noqa: FBT001, FBT002
        pipeline = _LimitedPipeline(self.connection_pool, self.response_callbacks, transaction, shard_hint)
        pipeline.answer_seconds = self.answer_seconds
        return pipeline


class _LimitedPipeline(Pipeline):
    answer_seconds = 2.0

    async def execute(self, raise_on_error: bool = True) -> list[Any]:  # noqa: FBT001, FBT002  as redis-py has it
        async with _within(self.answer_seconds):
            return await super().execute(raise_on_error)


class _LimitedCluster(RedisCluster):
    answer_seconds = 2.0

    async def execute_command(self, *args: Any, **options: Any) -> Any:  # noqa: ANN401  as redis-py has it
        async with _within(self.answer_seconds):
            return await super().execute_command(*args, **options)

    def pipeline(self, *args: Any, **options: Any) -> ClusterPipeline:  # noqa: ANN401  as redis-py has it
        # redis-py leaves out an attribute that its own type asks for.
        pipeline = _LimitedClusterPipeline(self, *args, **options)  # type: ignore[abstract]
        pipeline.answer_seconds = self.answer_seconds
        return pipeline


class _LimitedClusterPipeline(ClusterPipeline):
    answer_seconds = 2.0

    async def execute(self, *args: Any, **options: Any) -> list[Any]:  # noqa: ANN401  as redis-py has it
        async with _within(self.answer_seconds):
            return await super().execute(*args, **options)
