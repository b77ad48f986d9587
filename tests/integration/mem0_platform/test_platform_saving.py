"""A memory on the hosted Mem0 has one brain record, whatever Mem0 answers or fails to answer."""

from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from sqlalchemy import text

from services.domain.errors import InvalidInputError, MemoryStoreUnavailableError, PermanentError
from services.domain.memories import Owner, owner_of
from services.mem0_store.platform import PlatformStore
from services.postgres.database import Database
from services.postgres.vectors.tables import Embeddings, Item
from tests.support.mem0_memories import Deduplicates
from tests.support.mem0_server import (
    ADD,
    DELETE,
    GET,
    LIST,
    UPDATE,
    Fault,
    Html,
    Late,
    Mem0Server,
    Reset,
    Slow,
    Status,
)
from tests.support.openai_server import EMBEDDINGS, OpenAIServer
from tests.support.platform_store import EMBEDDING_MODEL, Servers, brain_of, held, open_platform, reconciled, said

ANA = owner_of("user", "ana")
FIRM = owner_of("company", "ana")
RUT = "12.345.678-K"


async def give_rut(database: Database, *owners: Owner) -> None:
    async with database.transaction() as session:
        await session.execute(text("set local role none"))
        for owner in owners:
            table = "profiles" if owner.type == "user" else "companies"
            await session.execute(
                text(f"insert into {table} (id, rut) values (:id, :rut) on conflict (id) do update set rut = :rut"),  # noqa: S608
                {"id": owner.id, "rut": RUT},
            )


async def test_a_memory_is_added_with_what_makes_it_ours(
    store: PlatformStore, mem0: Mem0Server, database: Database
) -> None:
    saved = await store.save(ANA, said("user_city", "Ana lives in Lima."))

    [one] = mem0.memories.by_id.values()
    assert (saved.change, saved.memory_id) == ("created", one.id)
    assert (one.memory, one.user_id) == ("Ana lives in Lima.", str(ANA.id))
    assert one.metadata["scope"] == "user"
    assert one.metadata["owner_id"] == str(ANA.id)
    assert one.metadata["slug"] == "user_city"
    brain = await brain_of(database, ANA)
    assert (brain.memory_ids, brain.contents) == ({"user_city": one.id}, {"user_city": "Ana lives in Lima."})
    assert brain.intents == []


async def test_every_version_has_its_vector(store: PlatformStore, database: Database) -> None:
    await store.save(ANA, said("user_city", "Ana lives in Lima.", day=5))
    await store.save(ANA, said("user_city", "Ana lives in Quito.", day=9))
    await store.save(ANA, said("user_city", "Ana lives in Cusco.", day=1))
    await store.save(ANA, said("user_city", None, day=12))

    async with database.transaction() as session:
        found = await session.scalars(text("select id from memory_versions where content is not null"))
        versions = [Item(each, "memory") for each in found]
    assert len(versions) == 3
    assert await Embeddings(database, EMBEDDING_MODEL).missing(versions) == []


async def test_a_change_updates_and_a_repetition_costs_one_look(
    store: PlatformStore, mem0: Mem0Server, model: OpenAIServer
) -> None:
    first = await store.save(ANA, said("user_city", "Ana lives in Lima."))
    again = await store.save(ANA, said("user_city", "Ana lives in Lima.", day=1))
    assert (again.change, again.memory_id) == ("unchanged", first.memory_id)
    assert mem0.calls == {ADD: 1, GET: 1}
    assert model.calls[EMBEDDINGS] == 1

    moved = await store.save(ANA, said("user_city", "Ana lives in Quito.", day=2))
    assert (moved.change, moved.memory_id) == ("updated", first.memory_id)
    assert mem0.calls == {ADD: 1, GET: 1, UPDATE: 1}
    assert held(mem0, ANA) == {"user_city": ["Ana lives in Quito."]}


async def test_an_older_fact_leaves_mem0_as_it_is(store: PlatformStore, mem0: Mem0Server) -> None:
    await store.save(ANA, said("user_city", "Ana lives in Lima.", day=5))
    late = await store.save(ANA, said("user_city", "Ana lives in Cusco.", day=1))
    assert late.change == "earlier"
    assert held(mem0, ANA) == {"user_city": ["Ana lives in Lima."]}


async def test_ending_deletes_in_mem0_and_may_be_repeated(
    store: PlatformStore, mem0: Mem0Server, database: Database
) -> None:
    await store.save(ANA, said("user_city", "Ana lives in Lima."))
    ended = await store.save(ANA, said("user_city", None, day=1))
    assert (ended.change, ended.memory_id) == ("ended", None)
    again = await store.save(ANA, said("user_city", None, day=1))
    assert again.memory_id is None
    assert mem0.memories.by_id == {}
    brain = await brain_of(database, ANA)
    assert (brain.contents, brain.intents) == ({}, [])

    back = await store.save(ANA, said("user_city", "Ana lives in Quito.", day=2))
    assert back.change == "created"
    assert held(mem0, ANA) == {"user_city": ["Ana lives in Quito."]}


@pytest.mark.parametrize("content", ["Ana lives in Lima.", "Ana lives in Quito."])
async def test_a_memory_gone_from_mem0_is_created_again(
    store: PlatformStore, mem0: Mem0Server, database: Database, content: str
) -> None:
    first = await store.save(ANA, said("user_city", "Ana lives in Lima."))
    mem0.memories.by_id.clear()
    again = await store.save(ANA, said("user_city", content, day=1))
    assert again.memory_id not in (None, first.memory_id)
    assert held(mem0, ANA) == {"user_city": [content]}
    assert (await brain_of(database, ANA)).memory_ids == {"user_city": again.memory_id}


async def test_ending_a_memory_that_mem0_has_lost_succeeds(store: PlatformStore, mem0: Mem0Server) -> None:
    await store.save(ANA, said("user_city", "Ana lives in Lima."))
    mem0.memories.by_id.clear()
    assert (await store.save(ANA, said("user_city", None, day=1))).change == "ended"


TOO_SLOW = Slow(4.5)
UNKNOWN = [Reset("before"), Reset("after"), Status(500), Status(503), Html(), TOO_SLOW, Late(0.0)]


def given_time(servers: Servers, fault: Fault) -> AbstractAsyncContextManager[PlatformStore]:
    """Open a store that waits long for an answer, except where the answer shall come too late."""
    return open_platform(servers, answer_seconds=4.0 if fault is TOO_SLOW else 20.0)


@pytest.mark.parametrize("fault", UNKNOWN, ids=str)
@pytest.mark.parametrize("route", [ADD, UPDATE, DELETE])
async def test_after_any_doubt_one_memory_stands(
    servers: Servers, mem0: Mem0Server, database: Database, route: str, fault: Fault
) -> None:
    """The call may have worked or not; whoever saves again brings both to what it says."""
    content = None if route == DELETE else "Ana lives in Quito."
    async with given_time(servers, fault) as store:
        if route != ADD:
            await store.save(ANA, said("user_city", "Ana lives in Lima."))
        mem0.fault = lambda asked: fault if asked.route == route else None
        try:
            await store.save(ANA, said("user_city", content, day=1))
        except MemoryStoreUnavailableError:
            assert (await brain_of(database, ANA)).intents == ["user_city"]
        mem0.fault = lambda _: None
        await store.save(ANA, said("user_city", content, day=1))

    assert held(mem0, ANA) == ({"user_city": [content]} if content else {})
    brain = await brain_of(database, ANA)
    assert brain.memory_ids == ({"user_city": next(iter(mem0.memories.by_id))} if content else {})
    assert brain.intents == []


@pytest.mark.parametrize("fault", [Reset("after"), TOO_SLOW], ids=str)
async def test_what_was_added_without_an_answer_is_found_at_once(
    servers: Servers, mem0: Mem0Server, fault: Fault
) -> None:
    mem0.faults.append(fault)
    async with given_time(servers, fault) as store:
        saved = await store.save(ANA, said("user_city", "Ana lives in Lima."))
    assert list(mem0.memories.by_id) == [saved.memory_id]
    assert mem0.calls[ADD] == 1


async def test_what_an_older_try_left_is_adopted_and_says_what_is_new(
    store: PlatformStore, mem0: Mem0Server, database: Database
) -> None:
    """The first try lands late, is cut off and never repeated; the next one says something else."""
    mem0.faults += [Reset("after"), Status(503)]
    with pytest.raises(MemoryStoreUnavailableError):
        await store.save(ANA, said("user_city", "Ana lives in Lima."))
    [left] = mem0.memories.by_id

    saved = await store.save(ANA, said("user_city", "Ana lives in Quito.", day=1))
    assert saved.memory_id == left
    assert held(mem0, ANA) == {"user_city": ["Ana lives in Quito."]}


async def test_an_update_that_was_never_recorded_does_not_stand(store: PlatformStore, mem0: Mem0Server) -> None:
    """Mem0 was given a newer text, and the writer died; an older fact comes next, and changes nothing here."""
    await store.save(ANA, said("user_city", "Ana lives in Lima.", day=5))
    mem0.faults.append(Reset("after"))
    with pytest.raises(MemoryStoreUnavailableError):
        await store.save(ANA, said("user_city", "Ana lives in Quito.", day=9))
    assert held(mem0, ANA) == {"user_city": ["Ana lives in Quito."]}

    await store.save(ANA, said("user_city", "Ana lives in Cusco.", day=1))
    assert held(mem0, ANA) == {"user_city": ["Ana lives in Lima."]}


async def test_several_that_carry_the_record_become_one(store: PlatformStore, mem0: Mem0Server) -> None:
    mem0.faults += [Reset("after"), Status(503)]
    with pytest.raises(MemoryStoreUnavailableError):
        await store.save(ANA, said("user_city", "Ana lives in Lima."))
    [left] = mem0.memories.by_id.values()
    mem0.memories.plant("Ana lives in Lima.", left.user_id, left.metadata)

    await store.save(ANA, said("user_city", "Ana lives in Quito.", day=1))
    assert held(mem0, ANA) == {"user_city": ["Ana lives in Quito."]}


@pytest.mark.parametrize("reply", ["answers nothing", "answers the one that stands"])
async def test_equal_texts_under_two_slugs_are_two_memories(
    store: PlatformStore, mem0: Mem0Server, database: Database, reply: Deduplicates
) -> None:
    mem0.memories.deduplicates = reply
    for slug in ("user_city", "user_home"):
        await store.save(ANA, said(slug, "Ana lives in Lima."))

    brain = await brain_of(database, ANA)
    assert len(set(brain.memory_ids.values())) == 2
    assert set(brain.memory_ids.values()) == set(mem0.memories.by_id)
    assert brain.contents == dict.fromkeys(("user_city", "user_home"), "Ana lives in Lima.")
    assert (await reconciled(store)).drift == 0
    again = await store.save(ANA, said("user_home", "Ana lives in Lima.", day=1))
    assert again.memory_id == brain.memory_ids["user_home"]


@pytest.mark.parametrize("reply", ["no", "answers nothing", "answers the one that stands"])
async def test_owners_who_share_a_rut_never_see_each_others(
    store: PlatformStore, mem0: Mem0Server, database: Database, reply: Deduplicates
) -> None:
    """A sole trader and the business have one RUT, and Mem0 one entity; here even the slugs and texts are equal."""
    await give_rut(database, ANA, FIRM)
    mem0.memories.deduplicates = reply
    for owner in (ANA, FIRM):
        await store.save(owner, said("phone", "The phone is 555."))
    assert {one.user_id for one in mem0.memories.by_id.values()} == {"12345678k"}
    assert len(mem0.memories.by_id) == 2
    assert (await reconciled(store)).drift == 0

    await store.save(FIRM, said("phone", None, day=1))
    [left] = mem0.memories.by_id.values()
    assert left.metadata["scope"] == "user"
    for asked in mem0.requests:
        if asked.route == LIST and {"user_id": "12345678k"} in asked.body["filters"]["AND"][:1]:
            named = [name for part in asked.body["filters"]["AND"][1:] for name in part["metadata"]]
            assert named == [] or named[:2] == ["scope", "owner_id"]
    assert (await brain_of(database, ANA)).contents == {"phone": "The phone is 555."}
    assert (await reconciled(store)).foreign == 0


async def test_a_rut_that_becomes_known_moves_the_memories(
    store: PlatformStore, mem0: Mem0Server, database: Database
) -> None:
    await store.save(ANA, said("user_city", "Ana lives in Lima."))
    await give_rut(database, ANA)
    assert (await reconciled(store)).missing_in_mem0 == 1
    [one] = mem0.memories.by_id.values()
    assert one.user_id == "12345678k"
    assert (await brain_of(database, ANA)).memory_ids == {"user_city": one.id}
    assert (await reconciled(store)).drift == 0


SOON = timedelta(seconds=60)


@pytest.mark.parametrize(
    ("status", "header"),
    [(429, "7"), (429, "date"), (429, "1792567680"), (401, None), (402, None), (403, None)],
)
async def test_what_may_pass_waits_as_long_as_mem0_asks_and_a_day_at_most(
    store: PlatformStore, mem0: Mem0Server, status: int, header: str | None
) -> None:
    retry_after = format_datetime(datetime.now(UTC) + SOON, usegmt=True) if header == "date" else header
    mem0.fault = lambda _: Status(status, retry_after)
    with pytest.raises(MemoryStoreUnavailableError) as raised:
        await store.save(ANA, said("user_city", "Ana lives in Lima."))
    told = raised.value.retry_after
    assert (told is None) == (header is None)
    if told is not None:
        assert told in (7.0, 86_400.0) or 50.0 < told <= 60.0
    assert mem0.calls == {ADD: 1}

    mem0.fault = lambda _: None
    await store.save(ANA, said("user_city", "Ana lives in Lima."))
    assert held(mem0, ANA) == {"user_city": ["Ana lives in Lima."]}


@pytest.mark.parametrize("status", [400, 413, 422])
async def test_a_refusal_is_for_good_quotes_nothing_and_leaves_nothing(
    store: PlatformStore, mem0: Mem0Server, database: Database, status: int
) -> None:
    mem0.fault = lambda asked: Status(status) if "secret" in str(asked.body) else None
    with pytest.raises(PermanentError) as raised:
        await store.save(ANA, said("user_city", "Ana keeps a secret."))
    assert "secret" not in str(raised.value)
    assert raised.value.__cause__ is None
    assert (await brain_of(database, ANA)).contents == {}
    await reconciled(store)
    assert (await brain_of(database, ANA)).intents == []


async def test_mem0_may_be_away_at_the_start(store: PlatformStore, mem0: Mem0Server) -> None:
    await mem0.down()
    with pytest.raises(MemoryStoreUnavailableError):
        await store.save(ANA, said("user_city", "Ana lives in Lima."))
    await mem0.up()
    assert (await store.save(ANA, said("user_city", "Ana lives in Lima."))).change == "created"


async def test_a_bad_slug_is_refused_before_anything_is_written(store: PlatformStore, mem0: Mem0Server) -> None:
    with pytest.raises(InvalidInputError):
        await store.save(ANA, said("No Slug", "Ana lives in Lima."))
    assert mem0.calls == {}
