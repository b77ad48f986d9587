"""What the tests ask about rooms."""

import asyncio
import time

from services.resources import Resources


async def until_digested(resources: Resources, room_id: str, messages: int, *, seconds: float = 60.0) -> None:
    """Wait until a room has so many messages and all are digested; say how far it came when time is up."""
    deadline = time.monotonic() + seconds
    while True:
        states = await resources.rooms.list_rooms(room_id=room_id)
        state = states[0] if states else None
        if state and state.messages >= messages and state.undigested == 0 and not await keys_left(resources):
            return
        if time.monotonic() > deadline:
            raise AssertionError(f"{room_id}: {state} after {seconds} s, keys left: {await keys_left(resources)}")
        await asyncio.sleep(0.1)


async def keys_left(resources: Resources) -> list[bytes]:
    """Give the keys of rooms that are in Redis."""
    return [key async for key in resources.redis.scan_iter(match="*:messages*")]
