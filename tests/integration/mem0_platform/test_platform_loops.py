"""Promise 8: the old "Event loop is closed", and why a client of ours cannot meet it."""

import asyncio
import gc
import json
import random
import sys
import threading
from collections import Counter
from pathlib import Path

import httpx
import pytest

from services.domain.errors import AfterturnError, MemoryStoreUnavailableError
from services.domain.memories import owner_of
from services.llm_proxy.client import ModelClient
from services.mem0_store.platform import PlatformStore
from services.mem0_store.platform_client import PlatformClient
from services.mem0_store.platform_errors import refuse
from services.postgres.database import Database
from tests.support.mem0_server import ADD, API_KEY, PING, Mem0Server
from tests.support.mortal_steps import Boundaries, MortalTransport
from tests.support.platform_store import EMBEDDING_MODEL, Servers, held, open_platform, said

ROOT = Path(__file__).parents[3]
LOOPS = 1_000
THREADS = 8


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def test_one_client_for_several_loops_fails_although_mem0_has_stored_it(mem0: Mem0Server) -> None:
    """What others meet: an error for a call that worked, which a retry would double."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "tests.support.shared_client", mem0.url, API_KEY),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, _ = await process.communicate()
    outcomes: list[str] = json.loads(out)
    assert outcomes.count("ok") < len(outcomes)
    assert {outcome for outcome in outcomes if outcome != "ok"} == {"Event loop is closed"}
    assert len(mem0.memories.by_id) == len(outcomes)


def in_a_loop_of_its_own(url: str, number: int) -> Counter[str]:
    """Open a client, add at once and cancel some of it, and close it, as a process with many short loops does."""
    chance = random.Random(number)

    async def run() -> Counter[str]:
        async with PlatformClient.open(API_KEY, host=url, answer_seconds=30.0) as client:
            adding = [
                asyncio.create_task(client.add(f"{number}, {part}", entity_id="somebody", metadata={}))
                for part in range(3)
            ]
            if number % 4 == 0:
                await asyncio.sleep(chance.uniform(0.0, 0.01))
                adding[chance.randrange(3)].cancel()
            answers = await asyncio.gather(*adding, return_exceptions=True)
        return Counter("ok" if isinstance(each, str) else type(each).__name__ for each in answers)

    return asyncio.run(run())


@pytest.mark.slow
async def test_a_thousand_loops_in_threads_with_cancellations_lose_and_leak_nothing(mem0: Mem0Server) -> None:
    await asyncio.to_thread(in_a_loop_of_its_own, mem0.url, 1)
    mem0.memories.by_id.clear()
    gc.collect()
    before = open_files(), threading.active_count()

    def one_after_the_other(first: int) -> Counter[str]:
        return sum((in_a_loop_of_its_own(mem0.url, number) for number in range(first, LOOPS, THREADS)), Counter())

    came = await asyncio.gather(*(asyncio.to_thread(one_after_the_other, first) for first in range(THREADS)))
    outcomes = sum(came, Counter[str]())
    assert set(outcomes) == {"ok", "CancelledError"}
    assert outcomes["ok"] <= len(mem0.memories.by_id) <= 3 * LOOPS
    assert mem0.calls[PING] == 0
    gc.collect()  # what is not closed would warn, and warnings are errors
    async with asyncio.timeout(20):
        while mem0.open_connections or open_files() > before[0]:  # its ends close a moment later than ours
            await asyncio.sleep(0.01)
    assert threading.active_count() <= before[1] + THREADS  # those of this test's own executor


async def test_a_closed_loop_is_a_doubt_and_what_was_stored_is_found(
    servers: Servers, store: PlatformStore, mem0: Mem0Server, database: Database
) -> None:
    """Even if the error came, by whatever way, the memory would not be doubled."""
    closed = MortalTransport(Boundaries(None), random.Random(), closed_loops=1.0)
    async with (
        ModelClient.open(servers.model_url) as model,
        httpx.AsyncClient(transport=closed, event_hooks={"response": [refuse]}) as http,
    ):
        client = PlatformClient(http, API_KEY, mem0.url, 20.0)
        other = PlatformStore(
            client, database, model, embedding_model=EMBEDDING_MODEL, answer_seconds=20.0, grace_seconds=0.0
        )
        with pytest.raises(MemoryStoreUnavailableError, match="RuntimeError"):
            await other.save(owner_of("user", "ana"), said("user_city", "Ana lives in Lima."))
    [left] = mem0.memories.by_id
    saved = await store.save(owner_of("user", "ana"), said("user_city", "Ana lives in Lima."))
    assert (saved.memory_id, mem0.calls[ADD]) == (left, 1)


def save_in_a_loop_of_its_own(servers: Servers, number: int) -> None:
    async def run() -> None:
        async with open_platform(servers, answer_seconds=10.0) as store:
            await asyncio.gather(*(save(store, number, slug) for slug in range(3)))

    async def save(store: PlatformStore, loop: int, slug: int) -> None:
        memory = said(f"slug-{slug}", f"Said in loop {loop}.", day=loop)
        saving = asyncio.create_task(store.save(owner_of("user", "ana"), memory))
        if loop % 3 == 1:
            await asyncio.sleep(0.002 * loop)
            saving.cancel()
        await asyncio.gather(saving, return_exceptions=True)
        await store.save(owner_of("user", "ana"), memory)

    asyncio.run(run())


async def test_saves_in_many_loops_stay_one_memory_each(servers: Servers, mem0: Mem0Server) -> None:
    loops = 15
    for number in range(loops):
        await asyncio.to_thread(save_in_a_loop_of_its_own, servers, number)
    texts = held(mem0, owner_of("user", "ana"))
    newest = f"Said in loop {loops - 1}."
    assert all(newest in each for each in texts.values())
    assert len(texts) == 3
    gc.collect()


async def test_a_client_of_another_loop_is_refused_before_anything_is_sent(mem0: Mem0Server) -> None:
    async with PlatformClient.open(API_KEY, host=mem0.url, answer_seconds=5.0) as client:

        def elsewhere() -> None:
            with pytest.raises(RuntimeError, match="belongs to the loop"):
                asyncio.run(client.add("Said elsewhere.", entity_id="somebody", metadata={}))

        await asyncio.to_thread(elsewhere)
    assert mem0.calls[ADD] == 0


async def test_opening_asks_nobody_and_mem0_may_be_unreachable() -> None:
    async with PlatformClient.open(API_KEY, host="http://127.0.0.1:1", answer_seconds=5.0) as client:
        await client.prepare()
        with pytest.raises(AfterturnError):
            await client.add("Nobody hears it.", entity_id="somebody", metadata={})
