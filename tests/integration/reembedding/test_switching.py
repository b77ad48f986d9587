"""Another embedding model on real servers: complete before it is read, and never half read."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import TypeVar

import pytest
from sqlalchemy import text
from temporalio.testing import ActivityEnvironment

from activities.recall import RecallCheck
from activities.reembed_steps import FillInput, FillState, ModelInput
from activities.reembedding import ReembedActivities
from services.domain.errors import InvalidInputError, RecallTooLowError, TransientError
from services.domain.ids import message_uid
from services.domain.memories import NewMemory, SavedMemory
from services.postgres.vectors.models import EmbeddingModels, ModelState
from services.postgres.vectors.shadow import ShadowVectors
from services.postgres.vectors.tables import Item
from tests.support.memories_kept import kept, run_sql
from tests.support.openai_server import EMBEDDINGS, OpenAIServer, Status
from tests.support.reembeds import ANA, NEW, OLD, World, question, word
from tests.support.section_stores import open_sections
from tests.support.talk import BEGAN

MESSAGES, MEMORIES = range(60), range(100, 125)
DoneT = TypeVar("DoneT")


@pytest.fixture
async def filled(world: World) -> World:
    await world.say(MESSAGES)
    for number in MEMORIES:
        await world.remember(number)
    await world.remember(200, slug="m100")  # m100 has a past now
    return world


async def states(world: World) -> dict[str, ModelState]:
    return {state.model: state for state in await EmbeddingModels(world.database).states()}


async def roles(world: World) -> dict[str, str]:
    return {state.model: state.role for state in (await states(world)).values()}


async def missing(world: World, model: str) -> int:
    return (await states(world))[model].missing


def refuse(server: OpenAIServer, model: str, status: int = 503) -> None:
    server.refuses = lambda request: Status(status) if request.get("model") == model else None


async def test_everything_is_found_by_the_new_model_and_by_the_former_one_after_going_back(filled: World) -> None:
    done = await filled.switch_to(NEW)
    assert (done.embedded, done.dimensions, done.recall) == (len(MESSAGES) + len(MEMORIES) + 1, 48, 1.0)
    assert await roles(filled) == {NEW: "current", OLD: "former"}
    assert all([await filled.finds(number) for number in (*MESSAGES, *MEMORIES[1:], 200)])
    assert (await kept(filled.database)).agrees()
    assert (await filled.store.reconcile(None, limit=1000)).drift == 0

    await filled.say([70])
    await filled.remember(170)
    await filled.remember(171, slug="m101")
    assert await EmbeddingModels(filled.database).switch(OLD) == 0
    assert await roles(filled) == {OLD: "current", NEW: "former"}
    assert all([await filled.finds(number) for number in (*MESSAGES, *MEMORIES[2:], 70, 170, 171, 200)])
    assert (await kept(filled.database)).agrees()
    assert (await filled.store.reconcile(None, limit=1000)).drift == 0


async def test_a_version_of_the_past_is_found_by_the_new_model(filled: World) -> None:
    await filled.switch_to(NEW)
    found = await filled.searching.find(word(100)[::-1], as_of=BEGAN.replace(hour=11), limit=1)
    assert word(100) in found.hits[0].text


async def test_a_model_that_misses_one_vector_is_not_switched_to(filled: World) -> None:
    models, shadow = EmbeddingModels(filled.database), ShadowVectors(filled.database)
    assert await models.begin(NEW, 48) == "shadow"
    everything = len(MESSAGES) + len(MEMORIES) + 1
    assert await models.switch(NEW) == await shadow.missing(NEW) == everything
    assert (await roles(filled))[OLD] == "current"
    await filled.switch_to(NEW)
    place = (await filled.vectors_of(NEW)).memory_table
    await run_sql(filled.database, f"delete from {place} where payload ->> 'slug' = 'm105'")  # noqa: S608
    assert await models.switch(OLD) == 0
    assert await models.switch(NEW) == 1
    assert await roles(filled) == {OLD: "current", NEW: "former"}


async def test_who_embedded_by_the_old_model_embeds_again_after_the_switch(filled: World) -> None:
    item = Item(message_uid("room:talk", "late"), "message", "room:talk")
    asked = await filled.missing([item])
    assert (asked.model, asked.beside, asked.items) == (OLD, (), (item,))
    [late] = await filled.client.embed(model=OLD, texts=["late"], input_type="passage")
    await filled.switch_to(NEW)
    again = await filled.save([item], {OLD: {item: late}})
    assert again is not None
    assert (again.model, again.beside, again.items) == (NEW, (OLD,), (item,))
    [newer] = await filled.client.embed(model=NEW, texts=["late"], input_type="passage")
    assert await filled.save([item], {OLD: {item: late}, NEW: {item: newer}}) is None
    assert (await filled.missing([item])).items == ()


async def test_memories_that_are_embedded_ahead_follow_the_switch(filled: World) -> None:
    await filled.switch_to(NEW)
    said = NewMemory(slug="m300", content=f"Ana likes {word(300)}.", asserted_at=BEGAN)
    [saved] = await filled.store.save_many([(ANA, said)], are_new=True)
    assert isinstance(saved, SavedMemory)
    assert await filled.finds(300)
    assert await missing(filled, OLD) == 0
    assert (await kept(filled.database)).agrees()


async def test_memories_that_are_saved_while_it_switches_end_up_once_in_both_tables(filled: World) -> None:
    numbers = random.Random(5)

    async def live(slug: int) -> None:
        for number in range(8):
            await filled.remember(300 + 10 * slug + number, slug=f"live{slug}")
            await filled.say([300 + 10 * slug + number])
            await asyncio.sleep(numbers.random() / 50)

    async def back_and_forth() -> None:
        await until_it_has_its_turn(partial(filled.switch_to, NEW))
        for model in (OLD, NEW, OLD, NEW):
            while await until_it_has_its_turn(partial(EmbeddingModels(filled.database).switch, model)):
                await until_it_has_its_turn(partial(filled.switch_to, model))

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(back_and_forth())
        for slug in range(6):
            tasks.create_task(live(slug))
    assert await roles(filled) == {NEW: "current", OLD: "former"}
    for model in (OLD, NEW):
        if (await roles(filled))[model] != "current":
            await filled.switch_to(model)
        assert (await kept(filled.database)).agrees()
        assert (await filled.store.reconcile(None, limit=1000, repair=False)).drift == 0
        assert all([await filled.finds(number, ("message",)) for number in (*MESSAGES, *range(300, 308), 357)])


async def until_it_has_its_turn(change: Callable[[], Awaitable[DoneT]]) -> DoneT:
    """Try again as Temporal does: a change of roles gives way to whoever writes for longer than it waits."""
    while True:
        with suppress(TransientError):
            return await change()


async def test_live_work_goes_on_while_the_new_model_is_away_and_what_it_left_out_is_found(
    filled: World, server: OpenAIServer
) -> None:
    await filled.switch_to(NEW)
    await EmbeddingModels(filled.database).switch(OLD)
    refuse(server, NEW)
    await filled.say([71])
    await filled.remember(171)
    await filled.remember(172, slug="m101")
    assert await filled.finds(71)
    assert await filled.finds(172)
    # The message, the memory, the changed one. The past version of m101 was copied.
    assert await missing(filled, NEW) == 3
    assert await EmbeddingModels(filled.database).switch(NEW) == 3
    server.refuses = None
    assert (await filled.switch_to(NEW)).embedded == 3
    assert all([await filled.finds(number) for number in (71, 171, 172)])
    assert (await kept(filled.database)).agrees()


async def test_the_first_memory_ever_may_come_once_another_model_is_made_ready(world: World) -> None:
    await world.say(MESSAGES)
    await EmbeddingModels(world.database).begin(NEW, 48)
    await world.remember(100)
    here, steps, state = ActivityEnvironment(), steps_of(world), FillState()
    while not state.finished:
        state = await here.run(steps.fill_vectors, FillInput(model=NEW, state=state))
    assert state.embedded == len(MESSAGES) + 1
    await world.remember(101)
    assert await missing(world, NEW) == 0
    assert (await here.run(steps.check_recall, ModelInput(model=NEW))).recall == 1.0
    assert (await here.run(steps.switch_model, ModelInput(model=NEW))).missing == 0
    assert all([await world.finds(number) for number in (*MESSAGES, 100, 101)])
    assert (await kept(world.database)).agrees()
    assert (await world.store.reconcile(None, limit=1000)).drift == 0


async def test_facts_are_found_by_the_new_model_from_the_switch_on(
    filled: World, redis_url: str, database_url: str
) -> None:
    async def first_of(number: int) -> str:
        return (await sections.search_facts(ANA, question(number)))[0].key

    async def store(numbers: range) -> None:
        await sections.store_facts(ANA, {f"f{number}": f"It is about {word(number)}." for number in numbers})

    async with open_sections(redis_url, database_url, filled.client) as sections:
        await store(range(400, 440))
        models = EmbeddingModels(filled.database)
        await models.begin(NEW, 48)
        await store(range(440, 445))
        await sections.store_fact(ANA, "f400", f"It is about {word(450)}.")
        assert await missing(filled, NEW) == len(MESSAGES) + len(MEMORIES) + 1 + 39
        await filled.switch_to(NEW)
        for number in (401, 439, 444, 450):
            assert await first_of(number) == ("f400" if number == 450 else f"f{number}")
        assert (await sections.sync("facts:")).embedded == 0
        await store(range(460, 461))
        assert await models.switch(OLD) == 0
        assert [await first_of(number) for number in (401, 444, 460)] == ["f401", "f444", "f460"]
        await models.drop(NEW)
        assert (await sections.sync("vectors:")).dropped == 46
        assert (await sections.sync("vectors:")).dropped == 0
        assert await first_of(401) == "f401"


async def test_what_is_ended_or_deleted_meanwhile_is_gone_from_both(filled: World) -> None:
    shadow = ShadowVectors(filled.database)
    await EmbeddingModels(filled.database).begin(NEW, 48)
    here, steps = ActivityEnvironment(), steps_of(filled)
    await here.run(steps.fill_vectors, FillInput(model=NEW, state=FillState()))
    await filled.store.save(ANA, NewMemory(slug="m110", content=None, asserted_at=BEGAN.replace(hour=20)))
    uid = message_uid("room:talk", "m3")
    await run_sql(filled.database, "delete from messages where uid = :uid", uid=uid)
    table = (await filled.vectors_of(OLD)).table.name
    await run_sql(filled.database, f"delete from {table} where item_id = :uid", uid=uid)  # noqa: S608
    assert await shadow.prune(NEW) == 1
    await filled.switch_to(NEW)
    assert (await kept(filled.database)).agrees()
    assert len((await kept(filled.database)).mem0) == len(MEMORIES) - 1


def steps_of(world: World, least: float = 0.95) -> ReembedActivities:
    recall = RecallCheck(world.database, world.client, least=least, samples=20)
    return ReembedActivities(EmbeddingModels(world.database), ShadowVectors(world.database), recall, world.client)


async def test_vectors_of_other_texts_are_found_out_by_the_recall_check(filled: World) -> None:
    await EmbeddingModels(filled.database).begin(NEW, 48)
    here, steps = ActivityEnvironment(), steps_of(filled)
    state = FillState()
    while not state.finished:
        state = await here.run(steps.fill_vectors, FillInput(model=NEW, state=state))
    assert (await here.run(steps.check_recall, ModelInput(model=NEW))).recall == 1.0
    table = (await filled.vectors_of(NEW)).table.name
    await run_sql(
        filled.database,
        f"update {table} set embedding = (select embedding from {table} order by item_id limit 1)",  # noqa: S608
    )
    with pytest.raises(RecallTooLowError, match=r"REEMBED_RECALL asks for 0\.95: the current model stays"):
        await here.run(steps.check_recall, ModelInput(model=NEW))


async def test_a_model_that_nobody_knows_fails_at_once_and_leaves_nothing(filled: World) -> None:
    with pytest.raises(InvalidInputError, match="model: takes one that the LLM proxy knows; nobodys-model it does not"):
        await ActivityEnvironment().run(steps_of(filled).begin_reembed, ModelInput(model="nobodys-model"))
    assert await roles(filled) == {OLD: "current"}


async def test_one_model_at_a_time_stands_beside_the_current_one(filled: World) -> None:
    models = EmbeddingModels(filled.database)
    await models.begin(NEW, 48)
    with pytest.raises(InvalidInputError, match="`afterturn reembed --drop larger-model`"):
        await models.begin("third-model", 24)
    with pytest.raises(InvalidInputError, match="answers 48 dimensions as before; this one answers 50"):
        await models.begin(NEW, 50)
    assert await models.begin(NEW, 48) == "shadow"
    assert await models.begin(OLD, 32) == "current"
    with pytest.raises(InvalidInputError, match="MODEL: takes one of those beside the current one"):
        await models.drop(OLD)
    await models.drop(NEW)
    assert await roles(filled) == {OLD: "current"}
    assert await models.begin("third-model", 24) == "shadow"
    with pytest.raises(InvalidInputError, match="this one was dropped"):
        await ShadowVectors(filled.database).missing(NEW)


async def test_a_dropped_model_leaves_no_table_and_nobody_writes_it(filled: World, server: OpenAIServer) -> None:
    await filled.switch_to(NEW)
    await EmbeddingModels(filled.database).drop(OLD)
    async with filled.database.transaction() as session:
        left = await session.scalar(text("select count(*) from pg_tables where tablename like '%embedding_model_32%'"))
    assert left == 0
    server.requests.clear()
    await filled.say([80])
    await filled.remember(180)
    assert {body["model"] for route, body in server.requests if route == EMBEDDINGS} == {NEW}
    assert await filled.finds(80)
    assert await filled.finds(180)


async def test_a_text_that_the_new_model_refuses_is_given_to_it_shortened(filled: World, server: OpenAIServer) -> None:
    too_long = 1_000
    # More of them than not, so that the recall check draws some.
    for number in range(40):
        await filled.say_text(f"long{number}", f"a long word about {number} " * 500)
    server.refuses = lambda request: (
        Status(400)
        if request.get("model") == NEW and any(len(each) > too_long for each in request.get("input", []))
        else None
    )
    await filled.switch_to(NEW)
    assert await missing(filled, OLD) == 0


async def test_a_text_that_the_new_model_always_refuses_is_named_by_its_id(filled: World, server: OpenAIServer) -> None:
    server.refuses = lambda request: (
        Status(400)
        if request.get("model") == NEW and any(word(7) in each for each in request.get("input", []))
        else None
    )
    with pytest.raises(InvalidInputError, match=f"it refuses {message_uid('room:talk', 'm7')}"):
        await filled.switch_to(NEW)
    assert (await roles(filled))[OLD] == "current"


async def test_a_database_without_a_vector_takes_the_first_model_that_comes(world: World) -> None:
    models = EmbeddingModels(world.database)
    assert await models.states() == []
    assert await world.vectors.current() == OLD
    assert await models.begin(NEW, 48) == "current"
    await world.say([1])
    await world.remember(2)
    assert await roles(world) == {NEW: "current"}
    assert await world.finds(1)
    assert await world.finds(2)
