"""How Redis is reached: within time limits, and without trying again behind the caller's back."""

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.cluster import RedisCluster
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisClusterException, RedisError

AnyRedis = Redis | RedisCluster

# Of a server that is down, late, full or wrong; a TimeoutError is an OSError.
REDIS_ERRORS = (RedisError, RedisClusterException, OSError)


def open_redis(
    url: str, *, cluster: bool = False, connect_seconds: float = 1.0, answer_seconds: float = 2.0, connections: int = 50
) -> AnyRedis:
    """Return a client for one event loop; close it with `aclose`.

    It never sends a command twice by itself: where an answer was lost the command may have been carried out, and only
    its sender knows whether a second time does harm. When all connections are busy a command waits for one.
    """
    no_retry = Retry(NoBackoff(), 0)
    if cluster:
        return RedisCluster.from_url(
            url,
            retry=no_retry,
            socket_connect_timeout=connect_seconds,
            socket_timeout=answer_seconds,
            max_connections=connections,
        )
    pool = BlockingConnectionPool.from_url(
        url,
        retry=no_retry,
        socket_connect_timeout=connect_seconds,
        socket_timeout=answer_seconds,
        max_connections=connections,
        timeout=answer_seconds,
    )
    return Redis.from_pool(pool)
