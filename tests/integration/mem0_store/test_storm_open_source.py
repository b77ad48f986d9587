"""Promise 6 under everything at once: writes, updates, deletes and cascades, by processes that are killed."""

import asyncio
import random
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest

from services.domain.errors import TransientError
from services.domain.histories import assertion_of
from services.domain.memories import NewMemory, Owner, brain_id
from services.mem0_store.open_source import OpenSourceStore
from services.postgres.database import Database
from tests.support.dying_store import DyingStores, dying_stores
from tests.support.memories_kept import forget_owner, kept, mem0_place, run_sql
from tests.support.openai_server import OpenAIServer

WRITES = 500
WRITERS = 3
FOREIGN = 20
START = datetime(2026, 1, 1, tzinfo=UTC)
LASTING = [Owner("user", UUID(int=number)) for number in range(1, 4)] + [Owner("company", UUID(int=1))]
PASSING = [Owner("user", UUID(int=number)) for number in range(10, 13)] + [Owner("company", UUID(int=10))]

Write = tuple[Owner, NewMemory]


def writes(chance: random.Random) -> list[Write]:
    """Give writes of few slugs by many, late ones and repeated ones among them; one in eight ends a memory."""
    return [
        (
            chance.choice(LASTING + PASSING),
            NewMemory(
                slug=f"s{chance.randrange(8)}",
                content=None if chance.random() < 0.125 else f"It is {chance.randrange(40)}",
                asserted_at=START + timedelta(hours=chance.randrange(500)),
            ),
        )
        for _ in range(WRITES)
    ]


def standing(told: Sequence[Write]) -> dict[UUID, str]:
    """Work out by hand what must stand of the owners that stay: what was asserted last."""
    latest: dict[tuple[Owner, str], list[NewMemory]] = {}
    for owner, memory in told:
        if owner in LASTING:
            latest.setdefault((owner, memory.slug), []).append(memory)
    last = {key: max(memories, key=_order_of(*key)) for key, memories in latest.items()}
    return {brain_id(owner, slug): one.content for (owner, slug), one in last.items() if one.content is not None}


def _order_of(owner: Owner, slug: str) -> Callable[[NewMemory], tuple[datetime, bool, UUID]]:
    return lambda memory: assertion_of(brain_id(owner, slug), memory).order


async def write(stores: DyingStores, mine: Sequence[Write], chance: random.Random) -> int:
    """Have all of them saved, each as often as it takes, by processes that may die at any statement."""
    kills = saved = 0
    while saved < len(mine):
        fatal = chance.randrange(1, 250) if chance.random() < 0.9 else None
        died = await stores.save(mine[saved : saved + 60], fatal=fatal)
        saved += died.saved
        kills += died.events is None
    return kills


async def cascade(database: Database, chance: random.Random, stop: asyncio.Event) -> int:
    """Delete owners again and again while they are written to."""
    count = 0
    while not stop.is_set():
        await asyncio.sleep(0.5 + chance.random())
        try:
            await forget_owner(database, chance.choice(PASSING))
        except TransientError:  # chosen by Postgres to break a deadlock with a writer
            continue
        count += 1
    return count


@pytest.mark.chaos
@pytest.mark.slow
@pytest.mark.timeout(420)
async def test_after_two_reconciliations_nothing_differs(
    database_url: str, server: OpenAIServer, store: OpenSourceStore, database: Database
) -> None:
    chance = random.Random(20_260_701)
    await store.save(LASTING[0], NewMemory("first", "It is there", START))
    place = await mem0_place(database)
    foreign = {uuid4(): {"data": f"not ours {number}", "user_id": str(UUID(int=1))} for number in range(FOREIGN)}
    for id_, payload in foreign.items():
        await run_sql(
            database,
            f"insert into {place} values (:id, cast('[1,0,0,0,0,0,0,0]' as vector), jsonb_build_object("  # noqa: S608
            "'data', cast(:data as text), 'user_id', cast(:user_id as text)))",
            id=id_,
            **payload,
        )

    told = writes(chance)
    stop = asyncio.Event()
    cascading = asyncio.create_task(cascade(database, random.Random(1), stop))
    kills = await asyncio.gather(
        *(
            _one_writer(database_url, server.url, told[number::WRITERS], random.Random(number))
            for number in range(WRITERS)
        )
    )
    stop.set()
    cascades = await cascading
    assert sum(kills) >= 15
    assert cascades >= 5

    left = await kept(database)
    # Only what a cascade has left is still to be done: no writer needs to be tidied up after.
    assert left.brain.items() <= left.texts.items()
    assert set(left.texts) - set(left.brain) - set(foreign) == left.intents & set(left.texts)
    first = await store.reconcile(None, limit=1_000)
    assert first.next_after is None
    assert first.repaired == first.drift == first.missing_in_brain
    second = await store.reconcile(None, limit=1_000)
    assert (second.drift, second.repaired, second.foreign) == (0, 0, FOREIGN)

    after = await kept(database)
    assert {id_: payload for id_, payload in after.mem0.items() if id_ in foreign} == foreign
    ours = {id_: text for id_, text in after.texts.items() if id_ not in foreign}
    assert ours == after.brain
    assert after.intents == set()
    lasting = standing([(LASTING[0], NewMemory("first", "It is there", START)), *told])
    assert {id_: text for id_, text in after.brain.items() if id_ in lasting} == lasting
    gone = {brain_id(owner, f"s{number}") for owner in LASTING for number in range(8)} - set(lasting)
    assert not gone & set(after.brain)


async def _one_writer(database_url: str, model_url: str, mine: Sequence[Write], chance: random.Random) -> int:
    async with dying_stores(database_url, model_url) as stores:
        return await write(stores, mine, chance)
