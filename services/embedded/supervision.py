"""Starts again what dies, a little later each time."""

import asyncio
import signal
import time

from services.embedded.server import Server
from services.embedded.steps import OnStep

_LOOK_SECONDS = 0.25
_FIRST_WAIT_SECONDS = 1.0
_LONGEST_WAIT_SECONDS = 30.0
# Who ran this long is well again: his next death is a new story.
_HEALTHY_SECONDS = 60.0


async def keep_running(server: Server, on_step: OnStep) -> None:
    """Watch one server for ever; what was stopped on purpose stays stopped."""
    wait = _FIRST_WAIT_SECONDS
    started = time.monotonic()
    while True:
        await asyncio.sleep(_LOOK_SECONDS)
        if (status := server.ended_by_itself) is None:
            continue
        if time.monotonic() - started > _HEALTHY_SECONDS:
            wait = _FIRST_WAIT_SECONDS
        on_step(server.title, "died", f"{_how(status)}; starting it again in {wait:.0f} s")
        wait = await _start_again(server, wait, on_step)
        started = time.monotonic()


async def _start_again(server: Server, wait: float, on_step: OnStep) -> float:
    """Return how long to wait before the next try, should it die again."""
    while True:
        await asyncio.sleep(wait)
        wait = min(wait * 2, _LONGEST_WAIT_SECONDS)
        try:
            await server.start()
        except Exception as error:  # noqa: BLE001 - whatever it is, watching goes on
            on_step(server.title, "failed", f"{error}; trying again in {wait:.0f} s")
        else:
            on_step(server.title, "ready", "started again")
            return wait


def _how(status: int) -> str:
    if status >= 0:
        return f"ended with status {status}"
    return f"killed by {signal.Signals(-status).name}"
