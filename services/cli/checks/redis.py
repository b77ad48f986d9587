"""Redis as promise 2 asks for it: one primary, each write on disk before it is acknowledged, nothing evicted."""

import time

from afterturn_client.redis_connection import REDIS_ERRORS, AnyRedis
from redis.exceptions import ResponseError

from services.cli.checks.check import Check, clock_check, judged
from services.cli.checks.redis_room import check_redis_room
from services.cli.exit_codes import UnreachableError
from services.cli.reaching import reach_redis, redis_place
from services.resources import Resources

_WANTED = {"appendonly": "yes", "appendfsync": "always", "maxmemory-policy": "noeviction"}
_WHY = {
    "appendonly": "a restart loses every buffered message",
    "appendfsync": "a crash loses what was acknowledged last",
    "maxmemory-policy": "a full Redis drops buffers instead of refusing",
}


async def check_redis(resources: Resources) -> list[Check]:
    try:
        await reach_redis(resources)
    except UnreachableError as error:
        return [Check("Redis: reachable", "failed", str(error), "start it, or set REDIS_URL")]
    checks = [Check("Redis: reachable", "ok", redis_place())]
    checks += [await _setting(resources.redis, name, wanted) for name, wanted in _WANTED.items()]
    return [
        *checks,
        *await check_redis_room(resources.redis),
        await _primary(resources.redis),
        await _clock(resources.redis),
    ]


async def _setting(redis: AnyRedis, name: str, wanted: str) -> Check:
    label = f"Redis: {name}"
    try:
        found = await redis.config_get(name)
    except REDIS_ERRORS as error:
        return Check(label, "not checkable", f"CONFIG GET is refused ({type(error).__name__}); it must be {wanted}")
    value = {_text(key): _text(value) for key, value in found.items()}.get(name, "unknown")
    return judged(
        label, good=value == wanted, detail=value, cure=f"CONFIG SET {name} {wanted}, and in redis.conf: {_WHY[name]}"
    )


async def _primary(redis: AnyRedis) -> Check:
    try:
        # ROLE is refused less often than INFO; a cluster's client asks primaries only.
        role = _text((await redis.execute_command("ROLE"))[0])
    except (*REDIS_ERRORS, IndexError, TypeError) as error:
        return Check("Redis: a primary", "not checkable", f"ROLE is refused ({type(error).__name__})")
    return judged(
        "Redis: a primary",
        good=role == "master",
        detail=role,
        cure="point REDIS_URL at the primary: a replica refuses writes",
    )


async def _clock(redis: AnyRedis) -> Check:
    before = time.time()
    try:
        seconds, microseconds = await redis.time()
    except (ResponseError, *REDIS_ERRORS) as error:
        return Check("Redis: clock", "not checkable", f"TIME is refused ({type(error).__name__})")
    return clock_check("Redis", seconds + microseconds / 1_000_000, before=before, after=time.time())


def _text(value: object) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
