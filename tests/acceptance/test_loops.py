"""Promise 8: every client belongs to the loop that opened it and is closed on it."""

import asyncio
import gc
from contextlib import AbstractAsyncContextManager

import pytest
from afterturn_client.memory_client import MemoryClient

from services.resources import Resources, open_resources
from tests.support.main_job import RECORD_SECONDS

LOOPS = 30


async def use(resources: Resources, memory: MemoryClient, number: int) -> None:
    await memory.record_turn("user:1", user=f"asks {number}", turn_id=f"turn-{number}")
    await resources.redis.ping()
    await resources.rooms.list_rooms()
    assert len(await resources.model.embed(model="embedding-model", texts=["hello"], input_type="query")) == 1


def recorder() -> AbstractAsyncContextManager[MemoryClient]:
    return MemoryClient.connect(seconds=RECORD_SECONDS, close_grace_seconds=0.1)


def in_a_loop_of_its_own(number: int, *, cancelled: bool) -> None:
    async def run() -> None:
        async with open_resources() as resources, recorder() as memory:
            work = asyncio.gather(*(use(resources, memory, 10 * number + part) for part in range(5)))
            if cancelled:
                await asyncio.sleep(0.005)
                work.cancel()
            await asyncio.gather(work, return_exceptions=True)
            if not cancelled:
                work.result()

    asyncio.run(run())


@pytest.mark.usefixtures("environment")
async def test_thirty_loops_one_after_the_other_leave_nothing_behind() -> None:
    for number in range(LOOPS):
        await asyncio.to_thread(in_a_loop_of_its_own, number, cancelled=number % 3 == 2)
    gc.collect()  # an unclosed client would warn, and warnings are errors


@pytest.mark.usefixtures("environment")
async def test_loops_in_several_threads_do_not_share_a_client() -> None:
    loops = (asyncio.to_thread(in_a_loop_of_its_own, 100 + number, cancelled=False) for number in range(6))
    await asyncio.gather(*loops)
