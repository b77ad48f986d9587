"""Another embedding model while people talk and search, by workers that are killed with SIGKILL."""

import asyncio
import random

import pytest
from afterturn_client.memory_client import MemoryClient

from services.mem0_store.open_source import OpenSourceStore
from services.postgres.vectors.models import EmbeddingModels
from services.resources import Resources
from tests.support.memories_kept import kept
from tests.support.openai_server import OpenAIServer
from tests.support.reembeds import DIMENSIONS, NEW, OLD, World, embed, start_reembed, word
from tests.support.rooms import until_digested
from tests.support.worker_process import worker_process
from workflows.reembed import Reembed

MESSAGES, MEMORIES, FIRST_TURN = range(150), range(1_000, 1_030), 2_000


class Searcher:
    """Searches all the time for something that stands, by its meaning alone, and notes what was not found."""

    def __init__(self, world: World, known: list[int]) -> None:
        self.known = known
        self.searches = 0
        self.lost: list[int] = []
        self._world = world
        self._random = random.Random(7)

    async def run(self) -> None:
        while True:
            number = self._random.choice(self.known)
            if not await self._world.finds(number):
                self.lost.append(number)
            self.searches += 1
            await asyncio.sleep(0.02)


async def talk(
    memory: MemoryClient, resources: Resources, world: World, known: list[int], enough: asyncio.Event
) -> int:
    """Say and remember something all the time; it counts as known once it is digested."""
    turns = 0
    while not enough.is_set():
        turns += 1
        number = FIRST_TURN + turns
        await memory.record_turn("user:ana", user=f"Tell me of {word(number)}.", assistant="Noted!")
        await until_digested(resources, "user:ana", 2 * turns, seconds=90)
        await world.remember(number + 500, slug=f"t{turns % 3}")
        known.append(number)
    return turns


@pytest.mark.chaos
@pytest.mark.timeout(600)
async def test_everything_is_found_at_every_moment_and_nothing_is_lost_or_doubled(
    resources: Resources, memory: MemoryClient, model: OpenAIServer
) -> None:
    model.embed, model.models = embed, [*model.models, *DIMENSIONS]
    assert isinstance(resources.memory_store, OpenSourceStore)
    world = World(resources.database, resources.model, resources.memory_store)
    await world.say(MESSAGES)
    for number in MEMORIES:
        await world.remember(number)
    searcher, enough = Searcher(world, [*MESSAGES, *MEMORIES]), asyncio.Event()
    states = EmbeddingModels(resources.database)
    async with asyncio.TaskGroup() as tasks:
        searching = tasks.create_task(searcher.run())
        # So slowly that it is not done before the worker is killed, however late that is noticed.
        handle = await start_reembed(resources, NEW, max_per_second=20)
        async with worker_process() as process, asyncio.timeout(100):
            while len(await states.states()) < 2 or (await states.states())[1].vectors < 40:
                await asyncio.sleep(0.05)
            process.kill()
        await handle.signal(Reembed.pause)
        async with worker_process():
            talking = tasks.create_task(talk(memory, resources, world, searcher.known, enough))
            async with asyncio.timeout(90):
                while FIRST_TURN + 2 not in searcher.known:
                    await asyncio.sleep(0.1)
            await handle.execute_update("set_rate", {"max_per_second": None})
            await handle.signal(Reembed.resume)
            result = await asyncio.wait_for(handle.result(), 90)
            enough.set()
            assert await talking > 2
            searched = searcher.searches
            while searcher.searches < searched + 50:
                await asyncio.sleep(0.05)
        searching.cancel()
    assert searcher.lost == []
    assert (result.switched, result.recall) == (True, 1.0)
    current, former = await states.states()
    assert (current.model, former.model, former.role, former.missing) == (NEW, OLD, "former", 0)
    assert current.vectors == former.vectors
    assert [number for number in searcher.known if not await world.finds(number)] == []
    assert (await kept(resources.database)).agrees()
    assert (await world.store.reconcile(None, limit=10_000, repair=False)).drift == 0

    assert await states.switch(OLD) == 0
    assert [number for number in searcher.known if not await world.finds(number)] == []
    assert (await kept(resources.database)).agrees()
