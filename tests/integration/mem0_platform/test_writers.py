"""Many writers of one slug, in one process and in several, make one memory."""

import asyncio
from contextlib import AsyncExitStack

import pytest
from sqlalchemy import text

from services.domain.errors import TransientError
from services.domain.memories import brain_id, owner_of
from services.mem0_store.platform import PlatformStore
from services.postgres.database import Database
from services.postgres.memories.intents import LeaseLostError
from tests.support.mem0_server import ADD, Held, Mem0Server
from tests.support.platform_store import Servers, brain_of, held, open_platform, reconciled, said
from tests.support.saving_children import child

ANA = owner_of("user", "ana")
WRITERS = 32


async def check_one(mem0: Mem0Server, database: Database, ids: set[str], newest: str) -> None:
    assert list(mem0.memories.by_id) == list(ids)
    assert mem0.calls[ADD] == 1
    assert held(mem0, ANA) == {"user_city": [newest]}
    brain = await brain_of(database, ANA)
    assert (brain.contents, set(brain.memory_ids.values()), brain.intents) == ({"user_city": newest}, ids, [])


@pytest.mark.parametrize("words", ["the same", "each its own"])
async def test_thirty_two_writers_in_one_process(
    store: PlatformStore, mem0: Mem0Server, database: Database, words: str
) -> None:
    texts = [f"Ana has lived in {number if words == 'each its own' else 1} cities." for number in range(WRITERS)]
    saved = await asyncio.gather(
        *(store.save(ANA, said("user_city", content, day=day)) for day, content in enumerate(texts))
    )
    await check_one(mem0, database, {str(one.memory_id) for one in saved}, texts[-1])
    assert (await reconciled(store)).drift == 0


async def test_thirty_two_writers_in_four_processes(
    servers: Servers, store: PlatformStore, mem0: Mem0Server, database: Database
) -> None:
    async with AsyncExitStack() as stack:
        children = [await stack.enter_async_context(child(servers)) for _ in range(4)]
        per_child = WRITERS // len(children)
        texts = [f"Ana has lived in {number} cities." for number in range(WRITERS)]
        answers = await asyncio.gather(
            *(
                each.save(ANA, "user_city", texts[number * per_child :][:per_child], day=number * per_child)
                for number, each in enumerate(children)
            )
        )
    await check_one(mem0, database, {id_ for ids in answers for id_ in ids}, texts[-1])
    assert (await reconciled(store)).drift == 0


async def test_whoever_waits_for_mem0_or_for_another_writer_holds_no_connection(
    servers: Servers, mem0: Mem0Server
) -> None:
    """Each store has ten connections, and twenty writers of each wait: the next one gets through all the same."""
    async with open_platform(servers, answer_seconds=30.0) as one, open_platform(servers, answer_seconds=30.0) as other:
        answer = asyncio.Event()
        mem0.fault = lambda asked: Held(answer) if asked.route == ADD and "slug-" in str(asked.body) else None
        memories = [said(f"slug-{number}", f"Ana says {number}.") for number in range(20)]
        at_work = [asyncio.create_task(one.save(ANA, memory)) for memory in memories]
        while mem0.calls[ADD] < len(memories):
            await asyncio.sleep(0.01)
        waiting = [asyncio.create_task(other.save(ANA, memory)) for memory in memories]
        await one.save(ANA, said("quick", "This one is quick."))
        await other.save(ANA, said("quicker", "This one is quicker."))
        assert not any(task.done() for task in at_work + waiting)
        answer.set()
        firsts, seconds = await asyncio.gather(*at_work), await asyncio.gather(*waiting)
    assert [each.memory_id for each in firsts] == [each.memory_id for each in seconds]
    assert len(mem0.memories.by_id) == 22


async def test_a_writer_that_does_not_end_is_given_up(servers: Servers, mem0: Mem0Server, database: Database) -> None:
    async with database.transaction() as session:
        await session.execute(
            text(
                "insert into mem0_intents (brain_id, action, owner_type, owner_id, slug, lease_token, lease_until)"
                " values (:brain, 'save', 'user', :owner, 'user_city', :owner, now() + interval '1 day')"
            ),
            {"brain": brain_id(ANA, "user_city"), "owner": ANA.id},
        )
    async with open_platform(servers, answer_seconds=0.1) as store:
        with pytest.raises(TransientError):
            await store.save(ANA, said("user_city", "Ana lives in Lima."))
    assert mem0.calls == {}


async def test_a_writer_that_was_taken_for_dead_records_nothing(
    servers: Servers, store: PlatformStore, mem0: Mem0Server, database: Database
) -> None:
    """Its lease ran out while Mem0 kept it waiting; it comes back while another writer is at work on what is newer."""
    answers = {"Lima": asyncio.Event(), "Quito": asyncio.Event()}
    mem0.fault = lambda asked: next((Held(until) for city, until in answers.items() if city in str(asked.body)), None)
    async with open_platform(servers, answer_seconds=30.0) as one, open_platform(servers, answer_seconds=30.0) as other:
        stalled = asyncio.create_task(one.save(ANA, said("user_city", "Ana lives in Lima.", day=1)))
        while mem0.calls[ADD] < 1:
            await asyncio.sleep(0.01)
        async with database.transaction() as session:
            await session.execute(text("update mem0_intents set lease_until = now()"))
        newer = asyncio.create_task(other.save(ANA, said("user_city", "Ana lives in Quito.", day=2)))
        while mem0.calls[ADD] < 2:
            await asyncio.sleep(0.01)
        answers["Lima"].set()
        with pytest.raises(LeaseLostError):
            await stalled
        assert (await brain_of(database, ANA)).contents == {}
        answers["Quito"].set()
        saved = await newer

    brain = await brain_of(database, ANA)
    assert (brain.contents, brain.intents) == ({"user_city": "Ana lives in Quito."}, [])
    assert (await reconciled(store)).duplicates == 1
    assert list(mem0.memories.by_id) == [saved.memory_id]
