"""Forks while another thread is opening the client. Prints the child's exit code."""

import asyncio
import os
import threading
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from afterturn_client.memory_client import MemoryClient
from afterturn_client.messages import Message
from afterturn_client.sync_client import SyncMemoryClient


class Nowhere:
    async def record(self, room_id: str, messages: Sequence[Message]) -> None:
        """Acknowledge and forget."""


@asynccontextmanager
async def slowly_opened() -> AsyncIterator[MemoryClient]:
    await asyncio.sleep(0.5)
    yield MemoryClient(Nowhere())


def main() -> None:
    memory = SyncMemoryClient(slowly_opened)
    opening = threading.Thread(target=lambda: memory.record_turn("user:1", user="a"))
    opening.start()
    time.sleep(0.1)
    pid = os.fork()
    if pid == 0:
        memory.record_turn("user:1", user="b")
        os._exit(7)
    opening.join()
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))  # noqa: T201


if __name__ == "__main__":
    main()
