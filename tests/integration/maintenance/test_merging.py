"""Memories that say the same become one, once, whoever is killed; and every merge can be undone."""

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from sqlalchemy import text

from services.domain.ids import message_uid
from services.domain.memories import NewMemory, Owner, owner_of
from services.domain.messages import NewMessage
from services.mem0_store.open_source import OpenSourceStore
from services.memories.merging import Merged, Merging
from services.postgres.database import Database
from services.postgres.memories.brain import Brain
from services.postgres.memories.merges import Merges
from tests.support.memories_kept import kept, run_sql
from tests.support.merging_process import mortal_mergers
from tests.support.openai_server import OpenAIServer
from tests.support.tenants import archive

START = datetime(2026, 1, 1, tzinfo=UTC)
ANA = owner_of("user", "ana")
LIMA = {"city": "The user lives in Lima", "home": "I live in Lima.", "place": "User lives in Lima"}
FEW = {"city": LIMA["city"], "home": LIMA["home"], "pet": "The user has 2 dogs"}
TOLD = {**LIMA, "pet": "The user has 2 dogs", "pets": "The user has 3 dogs"}


def said(slug: str, content: str | None, day: int, **fields: object) -> NewMemory:
    told = {"made_by": "model", **fields}
    return NewMemory(slug, content, START + timedelta(days=day), **told)  # type: ignore[arg-type]


async def tell(store: OpenSourceStore, owner: Owner, memories: dict[str, str] = TOLD) -> None:
    for day, (slug, content) in enumerate(memories.items()):
        await store.save(owner, said(slug, content, day))


async def standing(database: Database, owner: Owner) -> dict[str, str]:
    return {memory.slug: memory.content for memory in await Brain(database).get_all_by_user(owner.id)}


async def undo_all(merging: Merging, merges: Merges, owner: Owner) -> int:
    undone = [await merging.undo(merge.id) for merge in await merges.recent(owner=owner)]
    assert all(one is not None and one.outcome == "restored" for one in undone)
    return len(undone)


async def test_what_says_the_same_is_merged_and_mem0_follows(
    store: OpenSourceStore, merging: Merging, merges: Merges, database: Database
) -> None:
    await tell(store, ANA)
    assert await merging.merge(ANA, run_id="run") == Merged(merged=2)
    assert await standing(database, ANA) == {slug: TOLD[slug] for slug in ("city", "pet", "pets")}
    assert (await kept(database)).agrees()
    assert await merging.merge(ANA, run_id="run") == Merged()
    recorded = await merges.recent(owner=ANA)
    assert {(one.kept_slug, one.ended_slug, one.reason) for one in recorded} == {
        ("city", "home", "same_words"),
        ("city", "place", "same_words"),
    }
    # At any time somebody said it, and the history of what was ended stays.
    history = await Brain(database).history(ANA, "home")
    assert [version.content for version in history] == ["I live in Lima.", None]
    assert history[0].valid_to == START + timedelta(days=1, microseconds=1)


async def test_a_merge_is_undone_and_never_made_again(
    store: OpenSourceStore, merging: Merging, merges: Merges, database: Database
) -> None:
    await tell(store, ANA)
    await merging.merge(ANA, run_id="run")
    assert await undo_all(merging, merges, ANA) == 2
    assert await standing(database, ANA) == TOLD
    assert (await kept(database)).agrees()
    before = await Brain(database).history(ANA, "home")
    assert [version.content for version in before] == ["I live in Lima.", None, "I live in Lima."]
    # A second time it does nothing, and neither does the next optimisation.
    for merge in await merges.recent(owner=ANA):
        undone = await merging.undo(merge.id)
        assert undone is not None
        assert undone.outcome == "changed"
    await merging.merge(ANA, run_id="run")
    assert "home" in await standing(database, ANA)
    assert await merging.undo(uuid4()) is None


async def test_an_undo_never_takes_back_what_was_said_since(
    store: OpenSourceStore, merging: Merging, merges: Merges, database: Database
) -> None:
    await tell(store, ANA, LIMA)
    await merging.merge(ANA, run_id="run")
    await store.save(ANA, said("home", "The user lives in Cusco", 40))
    await store.save(ANA, said("place", None, 41))
    for merge in await merges.recent(owner=ANA):
        undone = await merging.undo(merge.id)
        assert undone is not None
        assert undone.outcome == "changed"
    assert await standing(database, ANA) == {"city": LIMA["city"], "home": "The user lives in Cusco"}


async def test_the_kept_memory_is_borne_out_by_the_others_messages_too(
    store: OpenSourceStore, merging: Merging, database: Database
) -> None:
    uids = []
    for number in range(2):
        message = NewMessage(f"m{number}", "user", LIMA["home"], "ana", None, START + timedelta(days=number))
        await archive(database, "user:ana", [message])
        uids.append(message_uid("user:ana", message.id))
    await store.save(ANA, said("city", LIMA["city"], 0, sources=(uids[0],)))
    await store.save(ANA, said("home", LIMA["home"], 1, sources=(uids[1],)))
    assert await merging.merge(ANA, run_id="run") == Merged(merged=1)
    [version] = await Brain(database).history(ANA, "city")
    assert set(version.sources) == set(uids)
    assert version.content == LIMA["city"]


async def test_a_memory_that_changed_after_it_was_planned_is_left_alone(
    store: OpenSourceStore, merging: Merging, merges: Merges, database: Database
) -> None:
    await tell(store, ANA, {"city": LIMA["city"], "home": LIMA["home"]})
    assert await merges.plan(ANA, run_id="run") == 1
    await store.save(ANA, said("home", "The user lives in Cusco", 40))
    assert await merging.merge(ANA, run_id="another") == Merged(dropped=1)
    assert await standing(database, ANA) == {"city": LIMA["city"], "home": "The user lives in Cusco"}
    assert await merges.recent(owner=ANA) == []


async def test_two_that_only_mean_the_same_need_vectors_that_agree(
    server: OpenAIServer, store: OpenSourceStore, merging: Merging, merges: Merges, database: Database
) -> None:
    await tell(store, ANA, {"city": "The user lives in Lima", "home": "The user resides in Lima"})
    assert await merging.merge(ANA, run_id="run") == Merged()
    near = "(select array_agg(1.0)::vector from generate_series(1, vector_dims(vector)))"
    place = next(iter(await places(database)))
    await run_sql(database, f"update {place} set vector = {near}")  # noqa: S608
    assert await merging.merge(ANA, run_id="run") == Merged(merged=1)
    [merge] = await merges.recent(owner=ANA)
    assert merge.reason == "same_meaning"
    assert merge.similarity == pytest.approx(1.0)


async def places(database: Database) -> list[str]:
    async with database.transaction() as session:
        return list(await session.scalars(text("select memory_table from embedding_models")))


async def test_two_that_merge_at_once_merge_once(
    store: OpenSourceStore, merging: Merging, merges: Merges, database: Database
) -> None:
    for number in range(8):
        owner = owner_of("user", f"user-{number}")
        await tell(store, owner)
        merged = await asyncio.gather(*(merging.merge(owner, run_id=f"run {each}") for each in range(4)))
        assert sum(one.merged for one in merged) == 2
        assert set(await standing(database, owner)) == {"city", "pet", "pets"}
        assert len(await merges.recent(owner=owner)) == 2
    assert (await kept(database)).agrees()


@pytest.mark.chaos
@pytest.mark.slow
@pytest.mark.timeout(180)
async def test_of_two_at_once_one_is_killed_anywhere_and_nothing_is_merged_twice(
    database_url: str,
    server: OpenAIServer,
    store: OpenSourceStore,
    merging: Merging,
    merges: Merges,
    database: Database,
) -> None:
    async with mortal_mergers(database_url, server.url) as mortals:
        lived, fatal, alone = False, -3, True
        while not lived:
            fatal, alone = fatal + 4, not alone
            owner = owner_of("user", f"user-{fatal}")
            await tell(store, owner, FEW)
            if alone:
                lived = await mortals.merge(owner, fatal=fatal)
                await merging.merge(owner, run_id="alive")
            else:
                await asyncio.gather(mortals.merge(owner, fatal=fatal), merging.merge(owner, run_id="alive"))
                await merging.merge(owner, run_id="after")
            assert set(await standing(database, owner)) == {"city", "pet"}, fatal
            recorded = await merges.recent(owner=owner)
            assert {(one.kept_slug, one.ended_slug) for one in recorded} == {("city", "home")}, fatal
            assert all(one.done_at for one in recorded)
            contents = [version.content for version in await Brain(database).history(owner, "home")]
            assert contents == [FEW["home"], None], fatal
            assert await undo_all(merging, merges, owner) == 1
            assert await standing(database, owner) == FEW, fatal
        assert fatal > 12
    assert (await kept(database)).agrees()
