"""How Redis is reached: within time limits, and without trying again behind the caller's back."""

import asyncio
from typing import Any, cast

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.cluster import RedisCluster
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisClusterException, RedisError
from redis.exceptions import TimeoutError as LateError
from redis.maint_notifications import MaintNotificationsConfig

AnyRedis = Redis | RedisCluster
CONNECTIONS = 50

# Of a server that is down, late, full or wrong; a TimeoutError is an OSError.
REDIS_ERRORS = (RedisError, RedisClusterException, OSError)


def open_redis(
    url: str,
    *,
    cluster: bool = False,
    connect_seconds: float = 1.0,
    answer_seconds: float = 2.0,
    connections: int = CONNECTIONS,
) -> AnyRedis:
    """Return a client for one event loop; close it with `aclose`.

    A command that has no answer after `answer_seconds` fails, the wait for one of the `connections` included. It
    never sends a command twice by itself: where an answer was lost the command may have been carried out, and only its
    sender knows whether a second time does harm.
    """
    options: dict[str, Any] = {
        "retry": Retry(NoBackoff(), 0),
        "socket_connect_timeout": connect_seconds,
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


class _LimitedRedis(Redis):
    answer_seconds = 2.0

    async def execute_command(self, *args: Any, **options: Any) -> Any:  # noqa: ANN401  as redis-py has it
        try:
            async with asyncio.timeout(self.answer_seconds):
                return await super().execute_command(*args, **options)  # type: ignore[no-untyped-call]
        except TimeoutError:
            raise LateError("Redis did not answer in time") from None


class _LimitedCluster(RedisCluster):
    answer_seconds = 2.0

    async def execute_command(self, *args: Any, **options: Any) -> Any:  # noqa: ANN401  as redis-py has it
        try:
            async with asyncio.timeout(self.answer_seconds):
                return await super().execute_command(*args, **options)
        except TimeoutError:
            raise LateError("Redis did not answer in time") from None
