"""What `/metrics` says of the whole system: it is looked up when somebody asks."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from afterturn_client.redis_connection import REDIS_ERRORS, AnyRedis
from prometheus_client import CollectorRegistry, Gauge, generate_latest
from temporalio.client import Client
from temporalio.service import RPCError

from services.domain.errors import TransientError
from services.memory_api.schedules_seen import ScheduleSeen, read_schedules
from services.postgres.upkeep.standing import StandingWork
from services.resources import Resources

_PREFIX = "afterturn"
# Less than Prometheus waits for all of it.
_SECONDS = 5
_OF_SCHEDULES: dict[str, tuple[str, Callable[[ScheduleSeen], float | None]]] = {
    "last_run_seconds": ("How long ago the schedule started a run.", lambda one: one.since_last_run),
    "every_seconds": ("How often it shall run.", lambda one: one.every),
    "paused": ("1 where somebody paused it.", lambda one: one.is_paused),
}


async def standing(resources: Resources) -> bytes:
    """Give what can be had: of a server that does not answer in time only that it does not."""
    registry = CollectorRegistry()
    up = Gauge(f"{_PREFIX}_server_up", "1 where the server answers.", ("server",), registry=registry)
    looks = {
        "postgres": _postgres(resources, registry),
        "redis": _redis(resources.redis, registry),
        "temporal": _temporal(resources.temporal, registry),
    }
    for server, answers in zip(looks, await asyncio.gather(*map(_in_time, looks.values())), strict=True):
        up.labels(server).set(answers)
    return generate_latest(registry)


async def _in_time(look: Coroutine[Any, Any, bool]) -> bool:
    try:
        async with asyncio.timeout(_SECONDS):
            return await look
    except TimeoutError:
        return False


async def _postgres(resources: Resources, registry: CollectorRegistry) -> bool:
    try:
        now = await StandingWork(resources.database).count()
    except TransientError:
        return False
    for name, says, value in (
        ("waiting_chunks", "Chunks that wait to be digested.", now.waiting_chunks),
        ("waiting_messages", "Archived messages that no chunk covers yet.", now.waiting_messages),
        ("oldest_waiting_seconds", "How long the oldest of both has waited.", now.oldest_waiting_seconds),
        ("quarantined", "What is in quarantine, to be looked at and redriven.", now.quarantined),
    ):
        Gauge(f"{_PREFIX}_{name}", says, registry=registry).set(value)
    return True


async def _redis(redis: AnyRedis, registry: CollectorRegistry) -> bool:
    """Where INFO is refused, or a cluster answers for each node, memory is not told."""
    try:
        memory = await redis.info("memory")
    except REDIS_ERRORS:
        return False
    for name, says in (("used_memory", "Bytes that Redis uses."), ("maxmemory", "Bytes that it may use; 0 is any.")):
        value = memory.get(name)
        if isinstance(value, int):
            Gauge(f"{_PREFIX}_redis_{name}_bytes", says, registry=registry).set(value)
    return True


async def _temporal(client: Client, registry: CollectorRegistry) -> bool:
    """Say of each schedule when it ran last, and how far Mem0 and Postgres were apart when they were last compared."""
    try:
        found = await read_schedules(client)
    except (RPCError, RuntimeError):
        return False
    for name, (says, value_of) in _OF_SCHEDULES.items():
        gauge = Gauge(f"{_PREFIX}_schedule_{name}", says, ("schedule",), registry=registry)
        for one in found.schedules:
            if (value := value_of(one)) is not None:
                gauge.labels(one.name).set(value)
    if found.drift is not None:
        says = "Memories on which Mem0 and Postgres did not agree when they were last compared; they were mended then."
        drift = Gauge(f"{_PREFIX}_mem0_last_drift", says, ("kind",), registry=registry)
        for kind, memories in found.drift.items():
            drift.labels(kind).set(memories)
    return True
