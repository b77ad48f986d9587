"""Promises 2, 3 and 5: a worker is killed with SIGKILL at every step of a turn's way."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from afterturn_client.memory_client import MemoryClient
from afterturn_client.messages import Message, encode_entry
from afterturn_client.rooms import buffer_key

from services.resources import Resources
from services.worker.run import running_workers
from tests.support.openai_server import COMPLETIONS, OpenAIServer
from tests.support.rooms import keys_left, until_digested
from tests.support.steps import POINTS, Point

TURNS = 3
ROOT = Path(__file__).parents[2]


@asynccontextmanager
async def worker_that_dies(fatal: Point) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.support.dying_worker", str(fatal), cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        assert await asyncio.wait_for(process.stdout.readline(), 30) == b"serving\n"
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def record(memory: MemoryClient, resources: Resources, room: str) -> list[str]:
    """Record turns with ids, and entries without any, as a producer that knows nothing of us does."""
    said = []
    for turn in range(TURNS):
        await memory.record_turn(room, user=f"{room} asks {turn}", assistant=f"{room} hears {turn}")
        bare = encode_entry(Message(role="user", content=f"{room} adds {turn}"))
        await resources.redis.rpush(buffer_key(room), bare)
        said += [f"{room} asks {turn}", f"{room} hears {turn}", f"{room} adds {turn}"]
    return said


@pytest.mark.chaos
@pytest.mark.timeout(420)
async def test_no_message_is_lost_doubled_or_out_of_order_wherever_the_worker_is_killed(
    resources: Resources, memory: MemoryClient, model: OpenAIServer
) -> None:
    said: dict[str, list[str]] = {}
    for number, fatal in enumerate(POINTS):
        room = f"user:{number}"
        async with worker_that_dies(fatal) as process:
            said[room] = await record(memory, resources, room)
            assert await asyncio.wait_for(process.wait(), 60) == -signal.SIGKILL, fatal

    async with running_workers():
        for room, contents in said.items():
            await until_digested(resources, room, len(contents), seconds=120)

    for room, contents in said.items():
        assert [message.content for message in await resources.rooms.messages(room)] == contents
        assert {receipt.state for receipt in await resources.rooms.receipts(room)} == {"digested"}
    assert await keys_left(resources) == []
    assert await resources.quarantine.list_open() == []
    # Only an answer that was lost before it was written down is asked for again.
    summaries = sum([len(await resources.summaries.parts(room)) for room in said])
    rolled = sum([max(0, len(await resources.summaries.parts(room)) - 1) for room in said])
    assert model.calls[COMPLETIONS] <= summaries + rolled + 1
