"""Reconciliation brings Mem0 and the brain to agree, and touches nothing that is not ours."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from services.domain.errors import MemoryStoreUnavailableError
from services.domain.memories import Owner, brain_id, owner_of
from services.mem0_store.platform import PlatformStore
from services.postgres.database import Database
from tests.support.mem0_server import ADD, DELETE, LIST, UPDATE, Late, Mem0Server, Reset, Status
from tests.support.platform_store import Servers, brain_of, held, open_platform, reconciled, said

ANA = owner_of("user", "ana")
FIRM = owner_of("company", "firm")
LONG_AGO = datetime.now(UTC) - timedelta(days=1)


@pytest.fixture
async def patient(servers: Servers) -> AsyncIterator[PlatformStore]:
    """A store that gives everything an hour of grace."""
    async with open_platform(servers, grace_seconds=3_600) as opened:
        yield opened


def orphan(mem0: Mem0Server, owner: Owner, slug: str, *, created_at: datetime = LONG_AGO) -> str:
    marks = {"scope": owner.type, "owner_id": str(owner.id), "slug": slug, "brain_id": str(brain_id(owner, slug))}
    return mem0.memories.plant("left behind", str(owner.id), marks, created_at=created_at).id


async def forget(database: Database, owner: Owner) -> None:
    """Delete an owner as the host does, with everything that cascades."""
    table = "profiles" if owner.type == "user" else "companies"
    async with database.transaction() as session:
        await session.execute(text("set local role none"))
        await session.execute(text(f"delete from {table} where id = :id"), {"id": owner.id})  # noqa: S608


async def test_what_agrees_is_left_alone(store: PlatformStore, mem0: Mem0Server) -> None:
    for slug in ("user_city", "user_name"):
        await store.save(ANA, said(slug, f"Ana's {slug}."))
    mem0.calls.clear()
    page = await reconciled(store)
    assert (page.checked, page.drift, page.repaired) == (2, 0, 0)
    assert not mem0.calls.keys() & {ADD, UPDATE, DELETE}


async def test_a_memory_lost_by_mem0_is_created_again(
    store: PlatformStore, mem0: Mem0Server, database: Database
) -> None:
    await store.save(ANA, said("user_city", "Ana lives in Lima."))
    mem0.memories.by_id.clear()
    page = await reconciled(store)
    assert (page.missing_in_mem0, page.repaired) == (1, 1)
    assert held(mem0, ANA) == {"user_city": ["Ana lives in Lima."]}
    assert (await brain_of(database, ANA)).memory_ids == {"user_city": next(iter(mem0.memories.by_id))}
    assert (await reconciled(store)).drift == 0


async def test_a_lost_memory_of_which_a_copy_stands_is_adopted(
    store: PlatformStore, mem0: Mem0Server, database: Database
) -> None:
    saved = await store.save(ANA, said("user_city", "Ana lives in Lima."))
    copy = orphan(mem0, ANA, "user_city")
    assert saved.memory_id is not None
    del mem0.memories.by_id[saved.memory_id]
    mem0.calls.clear()
    await reconciled(store)
    assert mem0.calls[ADD] == 0
    assert held(mem0, ANA) == {"user_city": ["Ana lives in Lima."]}
    assert (await brain_of(database, ANA)).memory_ids == {"user_city": copy}


async def test_texts_that_differ_say_what_the_brain_says(store: PlatformStore, mem0: Mem0Server) -> None:
    saved = await store.save(ANA, said("user_city", "Ana lives in Lima."))
    mem0.memories.by_id[str(saved.memory_id)].memory = "Somebody was here."
    assert (await reconciled(store)).texts_differ == 1
    assert held(mem0, ANA) == {"user_city": ["Ana lives in Lima."]}


async def test_duplicates_are_reduced_to_the_linked_one(
    store: PlatformStore, mem0: Mem0Server, database: Database
) -> None:
    saved = await store.save(ANA, said("user_city", "Ana lives in Lima."))
    for _ in range(3):
        orphan(mem0, ANA, "user_city")
    page = await reconciled(store)
    assert (page.duplicates, page.repaired) == (3, 3)
    assert list(mem0.memories.by_id) == [saved.memory_id]


async def test_what_no_record_links_to_is_deleted(store: PlatformStore, mem0: Mem0Server) -> None:
    await store.save(ANA, said("user_city", "Ana lives in Lima."))
    orphan(mem0, ANA, "user_name")
    assert (await reconciled(store)).missing_in_brain == 1
    assert set(held(mem0, ANA)) == {"user_city"}


async def test_foreign_memories_are_counted_and_never_touched(store: PlatformStore, mem0: Mem0Server) -> None:
    await store.save(ANA, said("user_city", "Ana lives in Lima."))
    entity = str(ANA.id)
    ours = {"scope": "user", "owner_id": entity}
    foreign = [
        mem0.memories.plant("an agent's own", entity, {}, created_at=LONG_AGO),
        mem0.memories.plant("of another tool", entity, {"brain_id": "x", "slug": "user_city"}, created_at=LONG_AGO),
        # It looks like ours, and its brain id does not follow from its slug.
        mem0.memories.plant("nearly", entity, {**ours, "slug": "a", "brain_id": str(ANA.id)}, created_at=LONG_AGO),
        mem0.memories.plant("somebody's", "another entity", {}, created_at=LONG_AGO),
    ]
    before = [one.seen() for one in foreign]
    page = await reconciled(store)
    assert (page.foreign, page.drift) == (3, 0)
    assert [mem0.memories.by_id[one.id].seen() for one in foreign] == before


async def test_nothing_is_judged_within_the_grace_time(patient: PlatformStore, mem0: Mem0Server) -> None:
    await patient.save(ANA, said("user_city", "Ana lives in Lima."))
    mem0.memories.by_id.clear()
    orphan(mem0, ANA, "user_name", created_at=datetime.now(UTC))
    mem0.memories.plant("an agent's own", str(ANA.id), {})
    assert (await reconciled(patient)).drift == 0
    assert len(mem0.memories.by_id) == 2


async def test_a_look_changes_nothing(store: PlatformStore, mem0: Mem0Server) -> None:
    await store.save(ANA, said("user_city", "Ana lives in Lima."))
    mem0.memories.by_id.clear()
    orphan(mem0, ANA, "user_name")
    for _ in range(2):
        page = await reconciled(store, repair=False)
        assert (page.missing_in_mem0, page.missing_in_brain, page.repaired) == (1, 1, 0)
    assert set(held(mem0, ANA)) == {"user_name"}


@pytest.mark.parametrize("owner", [ANA, FIRM], ids=str)
async def test_a_cascade_reaches_mem0(store: PlatformStore, mem0: Mem0Server, database: Database, owner: Owner) -> None:
    bystander = owner_of("user", "bystander")
    for who in (owner, bystander):
        for slug in ("a", "b"):
            await store.save(who, said(slug, f"{who} says {slug}."))
    orphan(mem0, owner, "c")
    await forget(database, owner)
    page = await reconciled(store)
    assert (page.missing_in_brain, page.repaired) == (3, 3)
    assert held(mem0, owner) == {}
    assert set(held(mem0, bystander)) == {"a", "b"}
    assert (await brain_of(database, owner)).intents == []
    assert (await reconciled(store)).drift == 0


async def test_a_record_deleted_by_hand_reaches_mem0(
    store: PlatformStore, mem0: Mem0Server, database: Database
) -> None:
    await store.save(ANA, said("user_city", "Ana lives in Lima."))
    async with database.transaction() as session:
        await session.execute(text("delete from user_brain"))
    await reconciled(store)
    assert mem0.memories.by_id == {}
    assert (await brain_of(database, ANA)).intents == []


async def test_a_save_that_nobody_repeats_is_finished(
    store: PlatformStore, mem0: Mem0Server, database: Database
) -> None:
    mem0.fault = lambda asked: Reset("after") if asked.route == ADD else Status(503)
    with pytest.raises(MemoryStoreUnavailableError):
        await store.save(ANA, said("user_city", "Ana lives in Lima.", metadata={"from": "a form"}))
    mem0.fault = lambda _: None
    await reconciled(store)
    assert held(mem0, ANA) == {"user_city": ["Ana lives in Lima."]}
    brain = await brain_of(database, ANA)
    assert (brain.contents, brain.intents) == ({"user_city": "Ana lives in Lima."}, [])


async def test_a_save_cut_off_before_its_owner_went_raises_nobody_from_the_dead(
    store: PlatformStore, mem0: Mem0Server, database: Database
) -> None:
    mem0.fault = lambda asked: Reset("after") if asked.route == ADD else Status(503)
    with pytest.raises(MemoryStoreUnavailableError):
        await store.save(ANA, said("user_city", "Ana lives in Lima."))
    mem0.fault = lambda _: None
    assert set(held(mem0, ANA)) == {"user_city"}
    await forget(database, ANA)
    await reconciled(store)
    assert mem0.memories.by_id == {}
    async with database.transaction() as session:
        assert (await session.scalar(text("select count(*) from profiles"))) == 0
    assert (await brain_of(database, ANA)).intents == []


async def test_a_late_landing_is_reduced(store: PlatformStore, mem0: Mem0Server) -> None:
    late = asyncio.Event()
    mem0.faults.append(Late(late))
    with pytest.raises(MemoryStoreUnavailableError):
        await store.save(ANA, said("user_city", "Ana lives in Lima."))
    saved = await store.save(ANA, said("user_city", "Ana lives in Lima."))
    late.set()
    await mem0.landed()
    assert len(mem0.memories.by_id) == 2
    assert (await reconciled(store)).duplicates == 1
    assert list(mem0.memories.by_id) == [saved.memory_id]


async def test_what_is_listed_late_is_reduced(store: PlatformStore, mem0: Mem0Server) -> None:
    mem0.memories.list_lag = 60.0
    mem0.faults += [Reset("after"), Status(503)]
    with pytest.raises(MemoryStoreUnavailableError):
        await store.save(ANA, said("user_city", "Ana lives in Lima."))
    saved = await store.save(ANA, said("user_city", "Ana lives in Lima."))
    assert len(mem0.memories.by_id) == 2
    assert (await reconciled(store)).drift == 0
    for one in mem0.memories.by_id.values():
        one.listed_from = 0.0
    assert (await reconciled(store)).duplicates == 1
    assert list(mem0.memories.by_id) == [saved.memory_id]


async def test_pages_visit_every_owner_once_and_everything_of_a_large_one(
    store: PlatformStore, mem0: Mem0Server
) -> None:
    owners = [owner_of("user", f"user-{number}") for number in range(13)] + [FIRM]
    for owner in owners:
        await store.save(owner, said("user_city", f"{owner} lives in Lima."))
    many = 230
    for number in range(many):
        orphan(mem0, FIRM, f"slug-{number}")
    seen, after = 0, None
    while True:
        page = await store.reconcile(after, limit=3)
        seen += page.checked
        after = page.next_after
        if after is None:
            break
    assert seen == len(owners) + many
    assert len(mem0.memories.by_id) == len(owners)


async def test_an_outage_stops_it_and_is_told(store: PlatformStore, mem0: Mem0Server) -> None:
    await store.save(ANA, said("user_city", "Ana lives in Lima."))
    mem0.fault = lambda asked: Status(429, "9") if asked.route == LIST else None
    with pytest.raises(MemoryStoreUnavailableError) as raised:
        await reconciled(store)
    assert raised.value.retry_after == 9.0


async def test_one_memory_that_mem0_refuses_stops_no_other(store: PlatformStore, mem0: Mem0Server) -> None:
    for slug in ("a", "b", "c"):
        await store.save(ANA, said(slug, f"Ana says {slug}."))
    mem0.memories.by_id.clear()
    mem0.fault = lambda asked: Status(400) if "says b" in str(asked.body) else None
    page = await reconciled(store)
    assert (page.missing_in_mem0, page.repaired) == (3, 2)
    assert set(held(mem0, ANA)) == {"a", "c"}
    mem0.fault = lambda _: None
    await reconciled(store)
    assert set(held(mem0, ANA)) == {"a", "b", "c"}
