"""Goes through the store's keys page by page, on every primary of a cluster."""

from typing import Any

from afterturn_client.redis_connection import AnyRedis
from redis.asyncio import Redis

from services.section_store.cache import unavailable


async def scan_page(redis: AnyRedis, at: str, pattern: str, count: int) -> tuple[str, list[str]]:
    """Give keys, some of them twice, and where the next page begins: nowhere, if this was the last."""
    keys: Any
    cursors: Any
    number, _, position = at.partition("/")
    with unavailable():
        if isinstance(redis, Redis):
            following, keys = await redis.scan(int(position or 0), match=pattern, count=count)
            return (f"0/{following}" if following else ""), [key.decode() for key in keys]
        await redis.initialize()
        nodes = sorted(redis.get_primaries(), key=lambda node: str(node.name))
        node = nodes[int(number or 0)]
        cursors, keys = await redis.scan(int(position or 0), match=pattern, count=count, target_nodes=node)
        following = next(iter(cursors.values()))
    found = [key.decode() for key in keys]
    if following:
        return f"{number or 0}/{following}", found
    return (f"{int(number or 0) + 1}/0" if int(number or 0) + 1 < len(nodes) else ""), found


async def scan_all(redis: AnyRedis, pattern: str, count: int = 500) -> list[str]:
    keys: set[str] = set()
    at = ""
    while True:
        at, page = await scan_page(redis, at, pattern, count)
        keys.update(page)
        if not at:
            return sorted(keys)
