"""Promise 8: a store belongs to the loop that opened it, is closed on it, and leaves nothing behind."""

import asyncio
import gc
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import psutil
import pytest
from sqlalchemy import text

from services.domain.errors import MemoryStoreUnavailableError
from services.domain.memories import NewMemory, Owner, SavedMemory, brain_id, owner_of
from services.llm_proxy.client import ModelClient
from services.mem0_store.open_source import OpenSourceStore
from services.postgres.database import Database
from tests.support.memories_kept import MODEL, kept
from tests.support.openai_server import OpenAIServer

START = datetime(2026, 1, 1, tzinfo=UTC)
LOOPS = 1_000
EACH = 20


def said(day: int) -> NewMemory:
    return NewMemory("user_city", f"Vive en {day}", START + timedelta(days=day))


@dataclass(frozen=True)
class Held:
    """What a process holds that could leak; threads are told by their names, connections are those of others."""

    files: int
    threads: int
    connections: int


async def held(database: Database) -> Held:
    gc.collect()
    ours = [thread for thread in threading.enumerate() if thread.name.startswith("mem0")]
    async with database.transaction() as session:
        asked = (
            "select count(*) from pg_stat_activity where datname = current_database()"
            " and backend_type = 'client backend' and pid <> pg_backend_pid()"
        )
        connections = await session.scalar(text(asked))
    return Held(psutil.Process().num_fds(), len(ours), int(connections or 0))


async def settled(database: Database) -> Held:
    """Give what is held once Postgres has noticed that everybody but us is gone."""
    async with asyncio.timeout(20):
        while (now := await held(database)).connections:
            await asyncio.sleep(0.02)
    return now


async def until_no_more_is_held_than(before: Held, database: Database) -> None:
    """Wait for the other ends, which close a moment later than ours."""
    async with asyncio.timeout(20):
        while (now := await settled(database)).files > before.files or now.threads > before.threads:
            await asyncio.sleep(0.02)


async def save_once(database_url: str, model_url: str, owner: Owner, day: int) -> SavedMemory:
    async with ModelClient.open(model_url) as model, OpenSourceStore.open(database_url, model, MODEL) as store:
        return await store.save(owner, said(day))


async def test_a_thousand_loops_leave_nothing_behind(
    database_url: str, server: OpenAIServer, database: Database
) -> None:
    """Each opens a store and closes it; one in twenty writes."""
    owner = owner_of("user", "ana")

    async def one(number: int) -> None:
        async with ModelClient.open(server.url) as model, OpenSourceStore.open(database_url, model, MODEL) as store:
            if number % EACH == 0:
                await store.save(owner, said(number))

    def loops(first: int, last: int) -> None:
        for number in range(first, last):
            asyncio.run(one(number))

    await asyncio.to_thread(loops, 0, 2 * EACH)
    before = await settled(database)
    await asyncio.to_thread(loops, 2 * EACH, LOOPS)
    await until_no_more_is_held_than(before, database)
    assert before.threads == 0
    after = await kept(database)
    assert after.agrees()
    assert list(after.texts.values()) == [f"Vive en {LOOPS - EACH}"]


async def test_loops_in_parallel_threads_write_the_same_memory(
    database_url: str, server: OpenAIServer, database: Database
) -> None:
    owner = owner_of("user", "ana")

    def loops(thread: int) -> list[str | None]:
        days = range(thread, 40, 8)
        return [asyncio.run(save_once(database_url, server.url, owner, day)).memory_id for day in days]

    before = await settled(database)
    found = await asyncio.gather(*(asyncio.to_thread(loops, thread) for thread in range(8)))
    assert {id_ for ids in found for id_ in ids} == {str(brain_id(owner, "user_city"))}
    after = await kept(database)
    assert after.agrees()
    assert list(after.texts.values()) == ["Vive en 39"]
    left = await settled(database)
    assert left.threads == before.threads


@pytest.mark.parametrize("ticks", [0, 1, 3, 10, 40, 160])
async def test_loops_whose_tasks_are_cancelled_leave_all_or_nothing(
    ticks: int, database_url: str, server: OpenAIServer, database: Database
) -> None:
    """Each save is cancelled after some turns of its loop, and the loop ends with the store still at work."""
    owner = owner_of("user", "ana")

    async def cut_short(day: int) -> None:
        saving = asyncio.create_task(save_once(database_url, server.url, owner, day))
        for _ in range(ticks):
            await asyncio.sleep(0.001)
        saving.cancel()
        await asyncio.gather(saving, return_exceptions=True)

    def loops() -> None:
        for day in range(10):
            asyncio.run(cut_short(day))

    await save_once(database_url, server.url, owner, 0)
    before = await settled(database)
    await asyncio.to_thread(loops)
    after = await kept(database)
    assert after.agrees()
    assert len(after.brain) == 1
    await until_no_more_is_held_than(before, database)
    await save_once(database_url, server.url, owner, 50)
    assert list((await kept(database)).texts.values()) == ["Vive en 50"]


async def test_a_store_is_closed_though_its_loop_ends_while_the_close_waits_for_a_thread(
    database_url: str, server: OpenAIServer, database: Database
) -> None:
    owner = owner_of("user", "ana")

    async def ended_while_closing() -> None:
        loop = asyncio.get_running_loop()
        loop.set_default_executor(ThreadPoolExecutor(max_workers=1))
        saved = asyncio.Event()

        async def save() -> None:
            async with ModelClient.open(server.url) as model, OpenSourceStore.open(database_url, model, MODEL) as store:
                await store.save(owner, said(1))
                loop.run_in_executor(None, time.sleep, 0.5)
                saved.set()

        saving = asyncio.create_task(save())
        await saved.wait()
        await asyncio.sleep(0.1)
        saving.cancel()

    await save_once(database_url, server.url, owner, 0)
    before = await settled(database)
    await asyncio.to_thread(asyncio.run, ended_while_closing())
    await until_no_more_is_held_than(before, database)
    assert (await kept(database)).agrees()


async def test_a_closed_store_finishes_what_it_began_and_drops_what_waits(
    database_url: str, model: ModelClient, database: Database
) -> None:
    owner = owner_of("user", "ana")
    async with OpenSourceStore.open(database_url, model, MODEL) as store:
        await store.save(owner, said(0))
        saving = [asyncio.create_task(store.save(owner, said(day))) for day in range(1, 60)]
        await asyncio.sleep(0.05)
    results = await asyncio.gather(*saving, return_exceptions=True)
    saved = [result for result in results if isinstance(result, SavedMemory)]
    dropped = [result for result in results if isinstance(result, MemoryStoreUnavailableError)]
    assert len(saved) + len(dropped) == 59
    assert dropped
    assert (await kept(database)).agrees()
