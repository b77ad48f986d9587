"""What the tests ask about rooms."""

import asyncio
import time
from contextlib import suppress

from redis.exceptions import ConnectionError as RedisConnectionError

from services.domain.errors import TransientError
from services.resources import Resources


async def until_digested(resources: Resources, room_id: str, messages: int, *, seconds: float = 120.0) -> None:
    """Wait until a room has so many messages and all are digested; say how far it came when time is up."""
    deadline = time.monotonic() + seconds
    while True:
        state, keys = None, None
        with suppress(RedisConnectionError, TransientError):  # a server that was killed may not be back yet
            states = await resources.rooms.list_rooms(room_id=room_id)
            state = states[0] if states else None
            keys = await keys_left(resources, room_id)
        if state and state.messages >= messages and state.undigested == 0 and keys == []:
            return
        assert time.monotonic() < deadline, f"{room_id}: {state} after {seconds} s, keys left: {keys}"
        await asyncio.sleep(0.1)


async def keys_left(resources: Resources, room_id: str = "") -> list[bytes]:
    """Give the keys that are in Redis, of one room or of all of them."""
    return [key async for key in resources.redis.scan_iter(match=f"*{room_id}:messages*")]
