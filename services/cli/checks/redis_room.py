"""Whether Redis can write, and has room for what comes."""

from collections.abc import Mapping
from typing import Any

from afterturn_client.redis_connection import REDIS_ERRORS, AnyRedis

from services.cli.checks.check import Check, judged
from services.resources import REDIS_CONNECTIONS

_FULL = 0.8
_WRITES = ("aof_last_write_status", "aof_last_bgrewrite_status", "rdb_last_bgsave_status")


async def check_redis_room(redis: AnyRedis) -> list[Check]:
    """Look at every node that answers, and tell of the worst."""
    try:
        told = await redis.info()
        limit = int(_first(await redis.config_get("maxclients")))
    except (*REDIS_ERRORS, ValueError, StopIteration) as error:
        detail = f"INFO or CONFIG GET is refused ({type(error).__name__})"
        return [Check(f"Redis: {name}", "not checkable", detail) for name in ("writes", "memory", "connections")]
    nodes: list[Mapping[str, Any]] = [told] if "used_memory" in told else list(told.values())
    return [_writes(nodes), _memory(nodes), _connections(nodes, limit)]


def _writes(nodes: list[Mapping[str, Any]]) -> Check:
    failing = sorted({name for node in nodes for name in _WRITES if node.get(name, "ok") != "ok"})
    return judged(
        "Redis: writes",
        good=not failing,
        detail=f"{', '.join(failing)}: failed" if failing else "ok",
        cure="see its log; most often its disk is full, or its folder may not be written",
    )


def _memory(nodes: list[Mapping[str, Any]]) -> Check:
    used, most = max(
        ((int(node["used_memory"]), int(node.get("maxmemory", 0))) for node in nodes),
        key=lambda pair: pair[0] / (pair[1] or float("inf")),
    )
    return judged(
        "Redis: memory",
        good=not most or used < _FULL * most,
        detail=f"{used >> 20} MiB used of {f'{most >> 20} MiB' if most else 'what there is'}",
        cure="raise maxmemory, or see why buffers are not emptied (`afterturn rooms`): full, it refuses every turn",
    )


def _connections(nodes: list[Mapping[str, Any]], limit: int) -> Check:
    used = max(int(node["connected_clients"]) for node in nodes)
    return judged(
        "Redis: connections",
        good=limit - used >= REDIS_CONNECTIONS,
        detail=f"{used} of {limit} are used",
        cure=f"CONFIG SET maxclients, and in redis.conf: one more worker or API may take {REDIS_CONNECTIONS}",
    )


def _first(found: Mapping[Any, Any]) -> Any:  # noqa: ANN401  a value of Redis
    value = next(iter(found.values()))
    return value.decode() if isinstance(value, bytes) else value
