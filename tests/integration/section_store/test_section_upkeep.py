import asyncio
from uuid import uuid4

import pytest
from afterturn_client.redis_connection import AnyRedis, open_redis
from pydantic import JsonValue
from sqlalchemy import text

from services.domain.memories import Owner, owner_of
from services.domain.sections import Name, value_id
from services.embedded.redis_server import RedisServer
from services.postgres.database import Database, Tenant
from services.postgres.sections.values import epochs
from services.postgres.upkeep.retention import Retentions
from services.section_store.keys import owner_prefix, slot_key
from services.section_store.packing import entry_of
from services.section_store.store import SectionStore
from services.section_store.sync import SyncPage
from tests.support.section_stores import open_sections

ANA, BEN, ACME = owner_of("user", "ana"), owner_of("user", "ben"), owner_of("company", "acme")


async def sync_all(store: SectionStore) -> SyncPage:
    sums = {"checked": 0, "stale": 0, "marks": 0, "ended": 0, "embedded": 0, "dropped": 0}
    cursor = None
    while True:
        page = await store.sync(cursor, limit=10)
        sums = {name: count + getattr(page, name) for name, count in sums.items()}
        cursor = page.cursor
        if cursor is None:
            return SyncPage(None, **sums)


async def slot_of(database_url: str, owner: Owner, key: str) -> str:
    async with Database.open(database_url) as database, database.transaction() as session:
        standing = await epochs(session)
    one = value_id(owner, Name("user_preferences", key))
    return slot_key(owner, standing[owner.id.bytes[15] % 64].epoch, one)


async def fill(store: SectionStore, owner: Owner) -> None:
    await store.get_user_preference(owner, "k")
    for number in range(20):
        await store.set_user_preference(owner, f"k{number}", number)
    await store.store_fact(owner, "likes", "ceviche")
    await store.add_command_history(owner, "undo", session_id="s")
    await store.get_command_history(owner, session_id="s")
    await store.set_session_state(owner, "s", "step", 1)
    await store.set_session_state(owner, "s", "all", 1, shared=True)
    await store.set_temporary(owner, "code", 1, ttl_seconds=60)


async def test_sync_finds_nothing_where_nothing_is_wrong(sections: SectionStore) -> None:
    await fill(sections, ANA)
    page = await sync_all(sections)
    assert page.checked >= 22
    assert (page.stale, page.marks, page.ended) == (0, 0, 0)


async def test_sync_mends_what_was_changed_behind_the_stores_back(
    sections: SectionStore, redis_url: str, database_url: str
) -> None:
    await fill(sections, ANA)
    async with open_redis(redis_url, answer_seconds=20) as redis:
        for key, entry in (("k0", entry_of(None)), ("k1", f"m{0:013d}dead".encode())):
            await redis.set(await slot_of(database_url, ANA, key), entry)
        await redis.set(slot_key(ANA, uuid4(), uuid4()), b"e")
    async with Database.open(database_url) as database, database.transaction(Tenant.of(ANA)) as session:
        await session.execute(text("delete from section_values where key = 'k2'"))
    page = await sync_all(sections)
    assert (page.stale, page.marks, page.ended) == (2, 1, 1)
    for key, expected in (("k0", 0), ("k1", 1), ("k2", None)):
        found = await sections.get_user_preference(ANA, key)
        assert (found.value if found else None) == expected
    assert (await sync_all(sections)).stale == 0


async def test_a_reader_mends_the_mark_of_a_writer_that_died(
    sections: SectionStore, redis_url: str, database_url: str
) -> None:
    await fill(sections, ANA)
    slot = await slot_of(database_url, ANA, "k1")
    async with open_redis(redis_url, answer_seconds=20) as redis:
        await redis.set(slot, f"m{0:013d}dead")
        found = await sections.get_user_preference(ANA, "k1")
        assert found is not None
        assert found.value == 1
        held = await redis.get(slot)
        assert isinstance(held, bytes)
        assert held[:1] == b"e"
        await redis.set(slot, b"m9999999999999young")
        await sections.get_user_preference(ANA, "k1")
        assert await redis.get(slot) == b"m9999999999999young"


async def keys_of(redis: AnyRedis, owner: Owner) -> list[bytes]:
    return [key async for key in redis.scan_iter(match=f"{owner_prefix(owner)}*")]


async def test_erasing_leaves_nothing_of_one_and_all_of_the_others(
    sections: SectionStore, redis_url: str, database_url: str
) -> None:
    async with (
        open_redis(redis_url, answer_seconds=20) as redis,
        open_sections(redis_url, database_url) as other,
    ):
        for owner in (ANA, ACME):
            await fill(sections, owner)
            await other.get_user_preference(owner, "k1")
        assert len([record async for record in sections.export(ANA)]) == 25
        erased = await sections.erase(ANA)
        assert (erased.values, erased.commands) == (21, 1)
        assert erased.keys > 0
        assert await keys_of(redis, ANA) == []
        for store in (sections, other):
            assert await store.get_user_preference(ANA, "k1") is None
            assert (await store.get_command_history(ANA)).items == ()
            found = await store.get_user_preference(ACME, "k1")
            assert found is not None
        assert [record async for record in sections.export(ANA)] == []
        assert len([record async for record in sections.export(ACME)]) == 25


async def test_an_export_holds_every_value(sections: SectionStore) -> None:
    await fill(sections, ANA)
    records = [record async for record in sections.export(ANA)]
    assert {(one["section"], one.get("key")) for one in records} == (
        {("user_preferences", f"k{n}") for n in range(20)}
        | {("facts", "likes"), ("command_history", None), ("temporary", "code")}
        | {("session_state", "step"), ("session_state", "all")}
    )
    assert {one["value"] for one in records if one["section"] == "facts"} == {"ceviche"}


async def test_a_profile_that_the_host_deletes_takes_its_values_along(
    sections: SectionStore, database_url: str
) -> None:
    for owner, table in ((ANA, "profiles"), (ACME, "companies")):
        await sections.set_user_preference(owner, "k", 1)
        await sections.add_command_history(owner, "undo")
        async with Database.open(database_url) as database, database.transaction() as session:
            await session.execute(text(f"insert into {table} (id) values (:id)"), {"id": owner.id})  # noqa: S608
            await session.execute(text(f"delete from {table}"))  # noqa: S608
    statistics = await sections.statistics()
    assert statistics.sections == ()
    assert statistics.owners == 0


async def test_cleaning_up_trims_histories_and_lists(redis_url: str, database_url: str) -> None:
    async with open_sections(redis_url, database_url, section_history_length=100) as sections:
        for number in range(130):
            await sections.add_command_history(ANA, number)
        await sections.add_command_history(BEN, "stays")
        await sections.set_temporary(ANA, "long", 1, ttl_seconds=60)
        await sections.set_temporary(ANA, "code", 1, ttl_seconds=0.01)
        await asyncio.sleep(0.05)
        first = await sections.clean_up(limit=20)
        assert (first.commands, first.more, first.temporaries) == (20, True, 1)
        second = await sections.clean_up(limit=20)
        assert (second.commands, second.more) == (10, False)
        kept = (await sections.get_command_history(ANA, limit=1_000)).items
        assert [one.command for one in kept] == list(range(129, 29, -1))
        assert len((await sections.get_command_history(BEN)).items) == 1


async def grow_old(database_url: str, owner: Owner, command: str, *, days: int) -> None:
    aged = "update section_commands set added_at = now() - make_interval(days => :days) where value = :value"
    async with Database.open(database_url) as database, database.transaction(Tenant.of(owner)) as session:
        await session.execute(text(aged), {"days": days, "value": f'"{command}"'.encode()})


async def read(store: SectionStore, owner: Owner, session_id: str | None = None) -> list[JsonValue]:
    return [one.command for one in (await store.get_command_history(owner, session_id=session_id)).items]


async def test_a_command_past_its_retention_is_never_read_again(redis_url: str, database_url: str) -> None:
    """Each history is cached as one list, which says nothing of how old its commands are."""
    async with (
        open_sections(redis_url, database_url) as sections,
        open_sections(redis_url, database_url) as other,
        Database.open(database_url) as database,
    ):
        for owner in (ANA, BEN, ACME):
            await read(sections, owner)
            for command, session_id in (("older", "s1"), ("old", "s1"), ("own", None), ("new", "s2")):
                await sections.add_command_history(owner, command, session_id=session_id)
            await grow_old(database_url, owner, "older", days=50)
            await grow_old(database_url, owner, "old", days=40)
            await grow_old(database_url, owner, "own", days=40)
            for store in (sections, other):
                assert await read(store, owner) == ["new", "own", "old", "older"]
                assert await read(store, owner, "s1") == ["old", "older"]
        await Retentions(database).set(BEN, "command_history", 45)
        await Retentions(database).set(ACME, "command_history", 0)
        assert await sections.expire_commands(0, limit=10) == 1
        assert await sections.expire_commands(30, limit=2) == 2
        assert await sections.expire_commands(30, limit=2) == 1
        assert await sections.expire_commands(30, limit=2) == 0
        for store in (other, sections):
            assert (await read(store, ANA), await read(store, ANA, "s1")) == (["new"], [])
            assert (await read(store, BEN), await read(store, BEN, "s1")) == (["new", "own", "old"], ["old"])
            assert len(await read(store, ACME)) == 4
        # They are read from Redis again.
        before = other.counts.all["misses"]
        assert await read(other, ANA) == ["new"]
        assert other.counts.all["misses"] == before


async def test_a_command_beyond_the_newest_is_never_read_again(redis_url: str, database_url: str) -> None:
    """A session's list may hold what is among the owner's oldest."""
    async with open_sections(redis_url, database_url, section_history_length=100) as sections:
        await read(sections, ANA)
        await sections.add_command_history(ANA, "first", session_id="s1")
        for number in range(100):
            await sections.add_command_history(ANA, number)
        assert await read(sections, ANA, "s1") == ["first"]
        assert (await sections.clean_up()).commands == 1
        assert await read(sections, ANA, "s1") == []


async def test_what_a_session_will_read_is_warmed_once(redis_url: str, database_url: str) -> None:
    async with (
        open_sections(redis_url, database_url) as sections,
        open_redis(redis_url, answer_seconds=20) as redis,
    ):
        await sections.warm(ANA, "s0")
        for number in range(20):
            await sections.set_user_preference(ANA, f"k{number}", number)
        for key in await keys_of(redis, ANA):
            if b":cached:" in key:
                await redis.delete(key)
        for number in range(5):
            await sections.get_user_preference(ANA, f"k{number}")
        for key in await keys_of(redis, ANA):
            if b":cached:" in key:
                await redis.delete(key)
        before = sections.counts.all.copy()
        assert await sections.warm(ANA, "s1", limit=10) == 10
        assert await sections.warm(ANA, "s1", limit=10) == 0
        for number in (0, 1, 2, 3, 4, 19):
            await sections.get_user_preference(ANA, f"k{number}")
        after = sections.counts.all
        assert after["prefetched_hits"] - before["prefetched_hits"] == 6
        assert after["misses"] == before["misses"]


async def test_nothing_is_warmed_for_whoever_has_nothing_and_a_single_command_is(
    redis_url: str, database_url: str
) -> None:
    async with open_redis(redis_url, answer_seconds=20) as redis:
        async with open_sections(redis_url, database_url) as sections:
            assert await sections.warm(ANA, "s") == 0
        assert await keys_of(redis, ANA) == []
        async with open_sections(redis_url, database_url) as sections:
            await sections.add_command_history(BEN, "undo", session_id="s")
        for owner in (ANA, BEN):
            for key in await keys_of(redis, owner):
                await redis.delete(key)
        async with open_sections(redis_url, database_url) as sections:
            assert await sections.warm(ANA, "s") == 0
            assert not [key for key in await keys_of(redis, ANA) if b":cached:" in key]
            await sections.warm(BEN, "s")
            assert [await read(sections, BEN, session) for session in (None, "s")] == [["undo"], ["undo"]]
            assert (sections.counts.all["prefetched_hits"], sections.counts.all["misses"]) == (2, 0)


async def test_counts_are_added_up_over_processes(redis_url: str, database_url: str) -> None:
    for _ in range(2):
        async with open_sections(redis_url, database_url) as sections:
            for _ in range(10):
                await sections.get_user_preference(ANA, "k")
    async with open_sections(redis_url, database_url) as sections:
        statistics = await sections.statistics()
    counts = statistics.counts
    assert counts["hits"] + counts["misses"] + counts["bypassed"] == 20
    assert statistics.hit_rate == counts["hits"] / 20
    assert counts["hits"] >= 17


@pytest.mark.parametrize("times", [3])
async def test_a_flushed_redis_is_used_again_at_once(own_redis: RedisServer, database_url: str, times: int) -> None:
    async with (
        open_sections(own_redis.url, database_url) as sections,
        open_redis(own_redis.url, answer_seconds=20) as redis,
    ):
        for number in range(times):
            await sections.set_user_preference(ANA, "k", number)
            await redis.flushall()
            # Another beginning of an epoch is tried once a second.
            await asyncio.sleep(1.1)
            for _ in range(3):
                found = await sections.get_user_preference(ANA, "k")
                assert found is not None
                assert found.value == number
            before = sections.counts.all["hits"]
            await sections.get_user_preference(ANA, "k")
            assert sections.counts.all["hits"] == before + 1
