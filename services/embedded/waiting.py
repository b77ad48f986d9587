import asyncio
import time
from collections.abc import Callable


async def wait_until(condition: Callable[[], bool], seconds: float) -> bool:
    """Look every few milliseconds; return whether it became true in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(0.02)
    return True
