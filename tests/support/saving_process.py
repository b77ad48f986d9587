"""A process that saves memories on the hosted platform: `saving_process SERVERS_JSON`, then a request a line.

{"slug": …, "content": …, "day": …, "owner": …, "copies": 8}   saves it that many times at once, and answers a line
"""

import asyncio
import json
import sys

from services.domain.errors import TransientError
from services.domain.memories import NewMemory, Owner, owner_of
from services.mem0_store.platform import PlatformStore
from tests.support.platform_store import Servers, open_platform, said


async def persist(store: PlatformStore, owner: Owner, memory: NewMemory) -> str:
    """Save as a retried activity does: again and again while trying again may help."""
    while True:
        try:
            return str((await store.save(owner, memory)).memory_id)
        except TransientError:
            await asyncio.sleep(0.05)


async def serve(servers: Servers) -> None:
    lines = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    async with open_platform(servers) as store:
        print("serving", flush=True)  # noqa: T201  the test waits for it
        while line := await lines.readline():
            asked = json.loads(line)
            owner = owner_of(asked["owner_type"], asked["owner"])
            memories = [
                said(asked["slug"], content, day=asked["day"] + number)
                for number, content in enumerate(asked["contents"])
            ]
            ids = await asyncio.gather(*(persist(store, owner, memory) for memory in memories))
            print(json.dumps(ids), flush=True)  # noqa: T201


if __name__ == "__main__":
    asyncio.run(serve(Servers(**json.loads(sys.argv[1]))))
