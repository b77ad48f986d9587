"""Runs the embedded stack with stand-ins for our own programs until it is told to stop: something to kill.

`stack_process.py FOLDER REDIS TEMPORAL UI PROXY` (four ports).
"""

import asyncio
import signal
import sys
from contextlib import suppress
from pathlib import Path

from services.embedded.stack import EmbeddedStack
from services.settings import EmbeddedSettings
from tests.support.stand_ins import stand_ins


async def main(folder: str, *ports: str) -> None:
    redis, temporal, ui, proxy = map(int, ports)
    settings = EmbeddedSettings(
        afterturn_folder=Path(folder),
        redis_port=redis,
        temporal_port=temporal,
        temporal_ui_port=ui,
        llm_proxy_port=proxy,
        ollama_url_internal="",
    )
    task = asyncio.current_task()
    assert task
    # A signal that comes before the stack listens ends it as well, as `afterturn` sees to.
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    with suppress(asyncio.CancelledError):
        async with EmbeddedStack(settings, programs=stand_ins(proxy)) as stack:
            await stack.wait_for_stop_signal()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
