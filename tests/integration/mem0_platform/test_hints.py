"""A hint of Mem0's has one memory looked at: what does not agree is mended, all else is left alone."""

import pytest

from services.domain.errors import TransientError
from services.domain.memories import brain_id, owner_of
from services.mem0_store.platform import PlatformStore
from services.postgres.database import Database
from tests.support.mem0_server import ADD, DELETE, UPDATE, Mem0Server
from tests.support.memories_kept import forget_owner, run_sql
from tests.support.platform_store import Servers, brain_of, held, open_platform, said

ANA = owner_of("user", "ana")
CITY = "Ana lives in Lima."


@pytest.fixture
async def memory_id(servers: Servers, database: Database) -> str:
    """Give the id in Mem0 of a memory that was just saved, long before the grace time is over."""
    async with open_platform(servers, grace_seconds=3_600) as store:
        await store.save(ANA, said("user_city", CITY))
    return (await brain_of(database, ANA)).memory_ids["user_city"]


async def test_what_agrees_is_left_alone(store: PlatformStore, mem0: Mem0Server, memory_id: str) -> None:
    mem0.calls.clear()
    assert await store.reconcile_one(memory_id) is False
    assert not mem0.calls.keys() & {ADD, UPDATE, DELETE}


async def test_a_text_that_somebody_changed_in_mem0_is_put_right(
    store: PlatformStore, mem0: Mem0Server, memory_id: str
) -> None:
    mem0.memories.by_id[memory_id].memory = "Ana lives nowhere."
    assert await store.reconcile_one(memory_id) is True
    assert held(mem0, ANA) == {"user_city": [CITY]}
    assert await store.reconcile_one(memory_id) is False


async def test_a_memory_that_somebody_deleted_in_mem0_is_made_again(
    store: PlatformStore, mem0: Mem0Server, database: Database, memory_id: str
) -> None:
    del mem0.memories.by_id[memory_id]
    assert await store.reconcile_one(memory_id) is True
    assert held(mem0, ANA) == {"user_city": [CITY]}
    [again] = mem0.memories.by_id
    assert (await brain_of(database, ANA)).memory_ids == {"user_city": again}
    assert await store.reconcile_one(memory_id) is False


async def test_a_second_memory_of_a_record_goes(store: PlatformStore, mem0: Mem0Server, memory_id: str) -> None:
    first = mem0.memories.by_id[memory_id]
    second = mem0.memories.plant("Ana lives in Lima!", first.user_id, first.metadata)
    assert await store.reconcile_one(second.id) is True
    assert held(mem0, ANA) == {"user_city": [CITY]}


async def test_a_memory_of_ours_without_a_record_goes(
    store: PlatformStore, mem0: Mem0Server, database: Database
) -> None:
    marks = {"scope": "user", "owner_id": str(ANA.id), "slug": "left", "brain_id": str(brain_id(ANA, "left"))}
    left = mem0.memories.plant("left behind", str(ANA.id), marks)
    assert await store.reconcile_one(left.id) is True
    assert mem0.memories.by_id == {}
    assert (await brain_of(database, ANA)).intents == []


async def test_a_memory_of_somebody_who_is_gone_goes(
    store: PlatformStore, mem0: Mem0Server, database: Database, memory_id: str
) -> None:
    await forget_owner(database, ANA)
    await run_sql(database, "delete from mem0_intents")
    assert await store.reconcile_one(memory_id) is True
    assert mem0.memories.by_id == {}


@pytest.mark.parametrize("metadata", [{}, {"brain_id": "of somebody else", "scope": "user", "owner_id": "no id"}])
async def test_a_foreign_memory_is_not_touched(
    store: PlatformStore, mem0: Mem0Server, metadata: dict[str, str]
) -> None:
    foreign = mem0.memories.plant("foreign", str(ANA.id), metadata)
    mem0.calls.clear()
    assert await store.reconcile_one(foreign.id) is False
    assert await store.reconcile_one("never-heard-of") is False
    assert not mem0.calls.keys() & {ADD, UPDATE, DELETE}
    assert list(mem0.memories.by_id) == [foreign.id]


async def test_while_somebody_writes_it_is_left_for_later(
    store: PlatformStore, mem0: Mem0Server, database: Database, memory_id: str
) -> None:
    await run_sql(
        database,
        "insert into mem0_intents (brain_id, action, owner_type, owner_id, slug, lease_token, lease_until) "
        "values (:brain, 'save', 'user', :owner, 'user_city', gen_random_uuid(), now() + interval '1 minute')",
        brain=brain_id(ANA, "user_city"),
        owner=ANA.id,
    )
    mem0.memories.by_id[memory_id].memory = "Ana lives nowhere."
    with pytest.raises(TransientError):
        await store.reconcile_one(memory_id)
    assert held(mem0, ANA) == {"user_city": ["Ana lives nowhere."]}
