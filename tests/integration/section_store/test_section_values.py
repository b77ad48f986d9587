import asyncio
from typing import Any

import pytest
from afterturn_client.redis_connection import open_redis

from services.domain.errors import InvalidInputError, VersionConflictError
from services.domain.memories import owner_of
from services.section_store.store import SectionStore
from tests.support.section_stores import open_sections

ANA, BEN, ACME = owner_of("user", "ana"), owner_of("user", "ben"), owner_of("company", "acme")
VALUES: list[Any] = ["dark", 7, 1.5, True, None, [], {"a": [1, {"b": "ñ€😀"}]}, "x" * 5_000, "\0", ""]


@pytest.mark.parametrize("value", VALUES, ids=range(len(VALUES)))
async def test_what_is_kept_comes_back_from_postgres_and_then_from_redis(sections: SectionStore, value: Any) -> None:
    written = await sections.set_user_preference(ANA, "theme", value)
    for _ in range(3):
        found = await sections.get_user_preference(ANA, "theme")
        assert found == written
        assert found.value == value
    await sections.delete(ANA, "user_preferences", "theme")
    assert await sections.get_user_preference(ANA, "theme") is None


async def test_a_read_value_is_in_redis_and_so_is_that_there_is_none(sections: SectionStore) -> None:
    await sections.get_user_preference(ANA, "first read begins an epoch")
    for key in ("there", "not there"):
        if key == "there":
            await sections.set_user_preference(ANA, key, 1)
        await sections.get_user_preference(ANA, key)
        before = sections.counts.all["hits"]
        await sections.get_user_preference(ANA, key)
        assert sections.counts.all["hits"] == before + 1


async def test_owners_namespaces_and_sections_are_apart(sections: SectionStore) -> None:
    for owner in (ANA, BEN, ACME):
        for namespace in ("default", "plugin.one"):
            await sections.set_user_preference(owner, "key", f"{owner} {namespace}", namespace=namespace)
            await sections.store_fact(owner, "key", f"fact {owner} {namespace}", namespace=namespace)
    for owner in (ANA, BEN, ACME):
        for namespace in ("default", "plugin.one"):
            for _ in range(2):
                preference = await sections.get_user_preference(owner, "key", namespace=namespace)
                fact = await sections.get_fact(owner, "key", namespace=namespace)
                assert preference is not None
                assert fact is not None
                assert (preference.value, fact.value) == (f"{owner} {namespace}", f"fact {owner} {namespace}")
    assert await sections.get_user_preference(ANA, "key", namespace="plugin.two") is None


async def test_a_large_value_is_compressed_and_says_its_sizes(sections: SectionStore) -> None:
    large = await sections.set_user_preference(ANA, "large", "word " * 10_000)
    small = await sections.set_user_preference(ANA, "small", "word")
    assert (large.raw_size, small.raw_size, small.stored_size) == (50_002, 6, 6)
    assert large.stored_size < 1_000
    assert await sections.get_user_preference(ANA, "large") == large
    stats = await sections.get_storage_stats(ANA)
    [size] = stats.sections
    assert (size.values, size.raw_bytes, size.stored_bytes) == (2, 50_008, large.stored_size + 6)


async def test_versions_only_grow_and_an_old_one_is_refused(sections: SectionStore) -> None:
    first = await sections.set_user_preference(ANA, "theme", "dark", if_version=0)
    with pytest.raises(VersionConflictError) as caught:
        await sections.set_user_preference(ANA, "theme", "light", if_version=0)
    assert caught.value.version == first.version
    second = await sections.set_user_preference(ANA, "theme", "light", if_version=first.version)
    assert second.version > first.version
    for wrong in (0, first.version, second.version + 1):
        with pytest.raises(VersionConflictError):
            await sections.delete(ANA, "user_preferences", "theme", if_version=wrong)
    await sections.delete(ANA, "user_preferences", "theme", if_version=second.version)
    with pytest.raises(VersionConflictError) as caught:
        await sections.set_user_preference(ANA, "theme", "dark", if_version=second.version)
    assert caught.value.version == 0
    third = await sections.set_user_preference(ANA, "theme", "dark", if_version=0)
    assert third.version > second.version


async def test_of_writers_that_saw_the_same_version_one_wins(sections: SectionStore) -> None:
    standing = await sections.set_user_preference(ANA, "counter", 0)
    outcomes = await asyncio.gather(
        *(sections.set_user_preference(ANA, "counter", n, if_version=standing.version) for n in range(12)),
        return_exceptions=True,
    )
    won = [outcome for outcome in outcomes if not isinstance(outcome, BaseException)]
    assert len(won) == 1
    assert await sections.get_user_preference(ANA, "counter") == won[0]
    assert all(isinstance(outcome, VersionConflictError) for outcome in outcomes if outcome != won[0])


async def test_facts_are_stored_all_or_none(sections: SectionStore) -> None:
    await sections.store_fact(ANA, "taken", 1)
    with pytest.raises(VersionConflictError):
        await sections.store_facts(ANA, {"taken": 2, "free": 2}, if_version=0)
    assert set(await sections.get_facts(ANA, ["taken", "free"])) == {"taken"}
    stored = await sections.store_facts(ANA, {f"f{n}": n for n in range(100)})
    assert {one.key: one for one in stored} == await sections.get_facts(ANA, [f"f{n}" for n in range(100)])


async def test_keys_are_listed_page_by_page(sections: SectionStore) -> None:
    keys = sorted([f"plan_{n}" for n in range(25)] + ["plan%", "other", "Ñandú"])
    for key in keys:
        await sections.set_user_preference(ANA, key, key)
    await sections.set_user_preference(BEN, "plan_of_ben", 1)
    for prefix in ("", "plan_", "plan%", "nothing"):
        found: list[str] = []
        cursor = None
        while True:
            page = await sections.list_keys(ANA, "user_preferences", prefix=prefix, cursor=cursor, limit=7)
            found += [one.key for one in page.items]
            cursor = page.cursor
            if cursor is None:
                break
        assert sorted(found) == [key for key in keys if key.startswith(prefix)]
        assert len(set(found)) == len(found)


WRONG: dict[str, Any] = {
    "key": lambda s: s.set_user_preference(ANA, "", 1),
    "a key with a line": lambda s: s.set_user_preference(ANA, "a\nb", 1),
    "a long key": lambda s: s.set_user_preference(ANA, "x" * 256, 1),
    "namespace": lambda s: s.set_user_preference(ANA, "k", 1, namespace="Öl"),
    "value": lambda s: s.set_user_preference(ANA, "k", float("nan")),
    "a large value": lambda s: s.set_user_preference(ANA, "k", "x" * 262_143),
    "half a character": lambda s: s.set_user_preference(ANA, "k", "\ud800"),
    "session_id": lambda s: s.set_session_state(ANA, "a b", "k", 1),
    "ttl_seconds": lambda s: s.set_temporary(ANA, "k", 1, ttl_seconds=0),
    "no ttl": lambda s: s.set(ANA, "temporary", "k", 1),
    "section": lambda s: s.set(ANA, "secrets", "k", 1),
    "a history": lambda s: s.get(ANA, "command_history", "k"),
    "keys": lambda s: s.store_facts(ANA, {}),
    "too many": lambda s: s.store_facts(ANA, {f"f{n}": n for n in range(101)}),
    "limit": lambda s: s.search_facts(ANA, "x", limit=0),
    "cursor": lambda s: s.get_command_history(ANA, cursor="x"),
}


@pytest.mark.parametrize("wrong", WRONG)
async def test_what_is_wrong_is_refused_by_its_field(sections: SectionStore, wrong: str) -> None:
    fields = ("key", "keys", "namespace", "value", "session_id", "ttl_seconds", "section", "limit", "cursor")
    with pytest.raises(InvalidInputError) as caught:
        await WRONG[wrong](sections)
    assert caught.value.field in fields
    if wrong in fields:
        assert caught.value.field == wrong


async def test_no_key_of_redis_shows_a_name_or_looks_like_a_rooms_buffer(
    sections: SectionStore, redis_url: str
) -> None:
    await sections.set_user_preference(ANA, "secret:messages", 1)
    await sections.get_user_preference(ANA, "secret:messages")
    await sections.set_session_state(ANA, "secret:messages", "secret:messages", 1)
    await sections.set_temporary(ANA, "secret:messages", 1, ttl_seconds=60)
    await sections.warm(ANA, "secret:messages")
    async with open_redis(redis_url, answer_seconds=20) as redis:
        keys = [key.decode() async for key in redis.scan_iter()]
    assert len(keys) > 5
    assert not [key for key in keys if "secret" in key or "messages" in key]


async def test_two_stores_see_each_others_writes_at_once(redis_url: str, database_url: str) -> None:
    async with open_sections(redis_url, database_url) as one, open_sections(redis_url, database_url) as other:
        for number in range(50):
            writer, reader = (one, other) if number % 2 else (other, one)
            await reader.get_user_preference(ANA, "theme")
            written = await writer.set_user_preference(ANA, "theme", number)
            assert await reader.get_user_preference(ANA, "theme") == written
        assert one.counts.all["hits"] + other.counts.all["hits"] > 50
