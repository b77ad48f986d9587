"""What only Redis keeps: sessions and temporary values."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from afterturn_client.redis_connection import open_redis

from services.domain.errors import InvalidInputError, SectionsUnavailableError
from services.domain.memories import owner_of
from services.embedded.redis_server import RedisServer
from services.section_store.keys import session_key, sessions_key, temporaries_key
from services.section_store.sessions import MOST_SESSIONS, MOST_VALUES
from services.section_store.store import SectionStore
from services.section_store.temporaries import MOST_VALUES as MOST_TEMPORARIES
from tests.support.section_stores import open_sections
from tests.support.servers import stopped

ANA, BEN = owner_of("user", "ana"), owner_of("user", "ben")


async def value(store: SectionStore, session_id: str, key: str) -> object:
    found = await store.get_session_state(ANA, session_id, key)
    return found.value if found else None


async def test_a_session_has_its_own_and_sees_what_is_shared(sections: SectionStore) -> None:
    await sections.set_session_state(ANA, "s1", "step", 1)
    await sections.set_session_state(ANA, "s1", "cart", ["for all"], shared=True)
    assert [await value(sections, session, "step") for session in ("s1", "s2")] == [1, None]
    assert [await value(sections, session, "cart") for session in ("s1", "s2")] == [["for all"], ["for all"]]
    await sections.set_session_state(ANA, "s2", "cart", "its own")
    assert [await value(sections, session, "cart") for session in ("s1", "s2")] == [["for all"], "its own"]
    assert await sections.get_session_state(BEN, "s1", "cart") is None
    assert await sections.get_session_state(ANA, "s1", "step", namespace="plugin") is None


async def test_a_session_ends_whole_and_what_is_shared_stays(sections: SectionStore) -> None:
    for number in range(5):
        await sections.set_session_state(ANA, "s1", f"k{number}", number)
    await sections.set_session_state(ANA, "s2", "k0", "other")
    await sections.set_session_state(ANA, "s1", "shared", 1, shared=True)
    assert await sections.end_session(ANA, "s1") == 5
    assert await value(sections, "s1", "k0") is None
    assert await value(sections, "s2", "k0") == "other"
    assert await value(sections, "s1", "shared") == 1
    assert await sections.end_session(ANA, "s1") == 0
    stats = await sections.get_storage_stats(ANA)
    assert stats.sessions == 1


async def test_a_session_that_is_used_is_kept(redis_url: str, database_url: str) -> None:
    async with open_sections(redis_url, database_url, section_session_seconds=100) as store:
        await store.set_session_state(ANA, "s1", "k", 1)
        async with open_redis(redis_url, answer_seconds=20) as redis:
            for left, expected in ((80, 80), (40, 100)):
                await redis.expire(session_key(ANA, "s1"), left)
                await value(store, "s1", "k")
                assert expected - 15 < await redis.ttl(session_key(ANA, "s1")) <= expected
            await redis.pexpire(session_key(ANA, "s1"), 1)
            await asyncio.sleep(0.05)
        assert await value(store, "s1", "k") is None


async def test_a_session_has_no_more_than_so_many_values(sections: SectionStore) -> None:
    for start in range(0, MOST_VALUES, 20):
        await asyncio.gather(*(sections.set_session_state(ANA, "s1", f"k{n}", n) for n in range(start, start + 20)))
    with pytest.raises(InvalidInputError):
        await sections.set_session_state(ANA, "s1", "one more", 1)
    await sections.set_session_state(ANA, "s1", "k0", "an old one may change")
    page = await sections.list_keys(ANA, "session_state", session_id="s1", limit=1_000)
    assert (len(page.items), page.cursor) == (MOST_VALUES, None)


async def test_an_owner_has_no_more_than_so_many_sessions_and_temporary_values(
    sections: SectionStore, redis_url: str
) -> None:
    async with open_redis(redis_url, answer_seconds=20) as redis:
        later = (await redis.time())[0] * 1_000 + 3_600_000
        await redis.zadd(sessions_key(ANA), {f"s{n}": later for n in range(1, MOST_SESSIONS)})
        await redis.zadd(temporaries_key(ANA), {f"default\nk{n}": later for n in range(1, MOST_TEMPORARIES)})
        for number in (1, 2):
            # What has ended is still listed, and does not count.
            await redis.zadd(sessions_key(ANA), {"ended": 1})
            await redis.zadd(temporaries_key(ANA), {"default\nended": 1})
            await sections.set_session_state(ANA, "last", "k", number)
            await sections.set_temporary(ANA, "last", number, ttl_seconds=3_600)
            assert await redis.zcard(sessions_key(ANA)) == MOST_SESSIONS
            assert await redis.zcard(temporaries_key(ANA)) == MOST_TEMPORARIES
        await redis.zadd(sessions_key(ANA), {"ended": 1})
        await redis.zadd(temporaries_key(ANA), {"default\nended": 1})
        for one in ("ended", "another"):
            with pytest.raises(InvalidInputError):
                await sections.set_session_state(ANA, one, "k", 1)
            with pytest.raises(InvalidInputError):
                await sections.set_temporary(ANA, one, 1, ttl_seconds=60)


async def test_a_full_redis_takes_neither_and_says_so(own_redis: RedisServer, database_url: str) -> None:
    async with (
        open_sections(own_redis.url, database_url) as store,
        open_redis(own_redis.url, answer_seconds=20) as redis,
    ):
        await store.set_session_state(ANA, "s", "k", "old")
        await store.set_temporary(ANA, "k", "old", ttl_seconds=3_600)
        kept = await redis.keys("*")
        await redis.config_set("maxmemory", 1)
        for owner, key in ((ANA, "k"), (ANA, "another"), (BEN, "k")):
            with pytest.raises(SectionsUnavailableError, match="it is full"):
                await store.set_session_state(owner, "s", key, "x" * 100_000)
            with pytest.raises(SectionsUnavailableError, match="it is full"):
                await store.set_temporary(owner, key, "x" * 100_000, ttl_seconds=3_600)
        assert sorted(await redis.keys("*")) == sorted(kept)
        assert await redis.hlen(session_key(ANA, "s")) == 1
        assert await value(store, "s", "k") == "old"
        found = await store.get_temporary(ANA, "k")
        assert found is not None
        assert found.value == "old"
        await redis.config_set("maxmemory", 0)
        await store.set_session_state(ANA, "s", "k", "new")
        assert await value(store, "s", "k") == "new"


async def test_a_temporary_value_goes_by_itself(sections: SectionStore) -> None:
    await sections.set_temporary(ANA, "code", {"digits": "123"}, ttl_seconds=60)
    await sections.set_temporary(ANA, "long", 1, ttl_seconds=60)
    found = await sections.get_temporary(ANA, "code")
    assert found is not None
    assert found.expires_at is not None
    assert await sections.get_temporary(BEN, "code") is None
    await sections.set_temporary(ANA, "code", {"digits": "123"}, ttl_seconds=0.05)
    async with asyncio.timeout(20):
        while await sections.get_temporary(ANA, "code") is not None:
            await asyncio.sleep(0.01)
    assert [one.key for one in (await sections.list_keys(ANA, "temporary")).items] == ["long"]
    await sections.delete(ANA, "temporary", "long")
    assert (await sections.list_keys(ANA, "temporary")).items == ()


CALLS: dict[str, Callable[[SectionStore], Awaitable[object]]] = {
    "set a session's": lambda s: s.set_session_state(ANA, "s", "k", "my-secret"),
    "get a session's": lambda s: s.get_session_state(ANA, "s", "k"),
    "end a session": lambda s: s.end_session(ANA, "s"),
    "set a temporary": lambda s: s.set_temporary(ANA, "k", "my-secret", ttl_seconds=1),
    "get a temporary": lambda s: s.get_temporary(ANA, "k"),
    "erase": lambda s: s.erase(ANA),
}


async def test_a_redis_that_hangs_is_not_waited_for(own_redis: RedisServer, database_url: str) -> None:
    async with (
        open_sections(own_redis.url, database_url) as patient,
        open_sections(own_redis.url, database_url, answer_seconds=0.5) as hurried,
    ):
        await patient.set_session_state(ANA, "s", "k", 1)
        assert own_redis.pid is not None
        with stopped([own_redis.pid]):
            for call in CALLS.values():
                async with asyncio.timeout(60):
                    with pytest.raises(SectionsUnavailableError):
                        await call(hurried)
        assert await value(patient, "s", "k") == 1


async def test_without_redis_it_says_so_and_permanent_values_go_on(own_redis: RedisServer, database_url: str) -> None:
    async with open_sections(own_redis.url, database_url) as store:
        await store.set_user_preference(ANA, "theme", "dark")
        await own_redis.kill()
        for call in CALLS.values():
            with pytest.raises(SectionsUnavailableError) as caught:
                await call(store)
            assert "my-secret" not in f"{caught.value!r} {caught.value.__cause__}"
        found = await store.get_user_preference(ANA, "theme")
        assert found is not None
        assert found.value == "dark"
        await store.set_user_preference(ANA, "theme", "light")
        await store.add_command_history(ANA, "undo")
        assert await store.warm(ANA, "s") == 0
        assert (await store.get_storage_stats(ANA)).sessions is None
        await own_redis.start()
        found = await store.get_user_preference(ANA, "theme")
        assert found is not None
        assert found.value == "light"
        await store.set_session_state(ANA, "s", "k", 1)
