"""Find the rooms that have something in Redis."""

from collections.abc import AsyncIterator

from afterturn_client.redis_connection import AnyRedis
from afterturn_client.rooms import claim_key, claim_of_key, pointer_key, room_of_key

from services.room_buffer.scripts import domain_errors, script

_PAGE = 500


async def scan_rooms(redis: AnyRedis) -> AsyncIterator[str]:
    """Find each room once: by its buffer and claims, which are lists, or by a pointer alone."""
    seen: set[str] = set()
    for pattern, kind in (("*:messages*", "list"), ("{*:messages}:pointer", "string")):
        async for raw in scan_keys(redis, pattern, kind):
            key = raw.decode(errors="replace")
            room_id = room_of_key(key)
            if room_id is None:
                continue
            if name := claim_of_key(key):
                await _adopt(redis, room_id, name)
            if room_id not in seen:
                seen.add(room_id)
                yield room_id


async def scan_keys(redis: AnyRedis, pattern: str, kind: str | None = None) -> AsyncIterator[bytes]:
    """Find keys on every primary of a cluster; a key may come twice."""
    keys = redis.scan_iter(match=pattern, count=_PAGE, _type=kind)
    while True:
        with domain_errors():
            key = await anext(keys, None)
        if key is None:
            return
        yield key


async def _adopt(redis: AnyRedis, room_id: str, name: str) -> None:
    with domain_errors():
        await script("adopt").run(redis, [pointer_key(room_id), claim_key(room_id, name)], [name])
