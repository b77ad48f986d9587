"""Find the rooms that have something in Redis, and the types of keys."""

from collections.abc import AsyncIterator, Iterable

from afterturn_client.redis_connection import AnyRedis
from afterturn_client.rooms import buffer_key, claim_key, claim_of_key, pointer_key, room_of_key, wake_key

from services.room_buffer.scripts import domain_errors, script

_PAGE = 500


async def scan_rooms(redis: AnyRedis) -> AsyncIterator[str]:
    seen: set[str] = set()
    async for keys in pages(redis, "*:messages*"):
        for room_id in await _rooms_of(redis, keys):
            if room_id not in seen:
                seen.add(room_id)
                yield room_id


async def pages(redis: AnyRedis, pattern: str) -> AsyncIterator[list[bytes]]:
    """Return keys in pages, from every primary of a cluster; a key may come twice."""
    keys = redis.scan_iter(match=pattern, count=_PAGE)
    while page := await _page(keys):
        yield page


async def kinds_of(redis: AnyRedis, keys: list[bytes]) -> list[str]:
    """Return what each key holds, `none` where it is gone meanwhile."""
    if not keys:
        return []
    with domain_errors():
        pipeline = redis.pipeline(transaction=False)
        for key in keys:
            pipeline.type(key)
        return [kind.decode() for kind in await pipeline.execute()]


async def _page(keys: AsyncIterator[bytes]) -> list[bytes]:
    page: list[bytes] = []
    with domain_errors():
        async for key in keys:
            page.append(key)
            if len(page) == _PAGE:
                break
    return page


async def _rooms_of(redis: AnyRedis, keys: Iterable[bytes]) -> list[str]:
    rooms: list[str] = []
    buffers: dict[bytes, str] = {}
    for raw in keys:
        key = raw.decode(errors="replace")
        room_id = room_of_key(key)
        if room_id is None or key == wake_key(room_id):
            continue
        if key == buffer_key(room_id):
            buffers[raw] = room_id
            continue
        if name := claim_of_key(key):
            await _adopt(redis, room_id, name)
        rooms.append(room_id)
    kinds = await kinds_of(redis, list(buffers))
    return rooms + [room_id for room_id, kind in zip(buffers.values(), kinds, strict=True) if kind == "list"]


async def _adopt(redis: AnyRedis, room_id: str, name: str) -> None:
    with domain_errors():
        await script("adopt").run(redis, [pointer_key(room_id), claim_key(room_id, name)], [name])
