"""What is kept uncompressed is compressed later on, and nobody can tell by reading."""

import asyncio
from dataclasses import replace
from time import monotonic

from afterturn_client.redis_connection import open_redis
from pydantic import JsonValue
from sqlalchemy import text

from services.domain.memories import owner_of
from services.domain.sections import Name, value_id
from services.postgres.database import Database
from services.section_store.keys import session_key, temporary_key
from services.section_store.repacking import PackedPage
from services.section_store.results import Value
from services.section_store.store import SectionStore
from tests.support.section_history import Did, faults
from tests.support.section_stores import open_sections

ANA, BEN = owner_of("user", "ana"), owner_of("user", "ben")
LARGE: JsonValue = {"notes": ["word " * 40] * 30}
# As written where nothing was compressed.
OFF = 10**9


async def pack_all(store: SectionStore, limit: int = 5) -> PackedPage:
    done, cursor = PackedPage(None), None
    while True:
        page = await store.pack(cursor, limit=limit)
        done = PackedPage(None, done.packed + page.packed, done.saved_bytes + page.saved_bytes)
        cursor = page.cursor
        if cursor is None:
            return done


async def fill(store: SectionStore) -> None:
    for number in range(12):
        await store.set_user_preference(ANA, f"small{number}", number)
    await store.set_user_preference(ANA, "large", LARGE)
    await store.store_fact(BEN, "large", LARGE, namespace="plugin")
    await store.add_command_history(ANA, LARGE, command_id="c1")
    await store.set_session_state(ANA, "s1", "large", LARGE)
    await store.set_session_state(ANA, "s1", "small", 1)
    await store.set_session_state(ANA, "s1", "shared", LARGE, shared=True)
    await store.set_temporary(ANA, "large", LARGE, ttl_seconds=600)


async def read(store: SectionStore) -> list[object]:
    """Read all that is large, and leave out what may differ: sizes, and when a session ends."""
    found: list[Value | None] = [
        await store.get_user_preference(ANA, "large"),
        await store.get_fact(BEN, "large", namespace="plugin"),
        await store.get_session_state(ANA, "s1", "large"),
        await store.get_session_state(ANA, "s1", "small"),
        await store.get_session_state(ANA, "s1", "shared"),
        await store.get_temporary(ANA, "large"),
    ]
    assert all(one is not None for one in found)
    values = [replace(one, stored_size=0, expires_at=None) for one in found if one is not None]
    return [*values, *(await store.get_command_history(ANA)).items]


async def stored_bytes(store: SectionStore) -> dict[str, tuple[int, int]]:
    return {one.section: (one.raw_bytes, one.stored_bytes) for one in (await store.statistics()).sections}


async def test_large_values_are_compressed_and_read_as_before(redis_url: str, database_url: str) -> None:
    async with (
        open_sections(redis_url, database_url, section_compress_bytes=OFF) as before,
        open_sections(redis_url, database_url) as store,
        open_redis(redis_url, answer_seconds=20) as redis,
    ):
        await read_once(before)
        await fill(before)
        as_read, sizes = await read(before), await stored_bytes(store)
        assert all(raw == stored for raw, stored in sizes.values())
        left = [await redis.pttl(session_key(ANA, one)) for one in ("s1", None)]
        # Two workers at once, and each is counted once.
        done = await asyncio.gather(pack_all(store), pack_all(store, limit=1_000))
        # Three rows, three entries that are cached of them, two of sessions, one that is temporary.
        assert sum(one.packed for one in done) == 9
        assert sum(one.saved_bytes for one in done) > 9 * 5_000
        packed = await stored_bytes(store)
        assert {name: raw for name, (raw, _) in packed.items()} == {name: raw for name, (raw, _) in sizes.items()}
        assert all(stored < 1_000 for _, stored in packed.values())
        hits = store.counts.all["hits"]
        for one in (before, store):
            assert await read(one) == as_read
        assert store.counts.all["hits"] == hits + 3
        kept = await store.get_temporary(ANA, "large")
        assert kept is not None
        assert kept.stored_size < 1_000
        assert 0 < await redis.pttl(temporary_key(ANA, value_id(ANA, Name("temporary", "large")))) <= 600_000
        now_left = [await redis.pttl(session_key(ANA, one)) for one in ("s1", None)]
        assert all(0 < now <= then for now, then in zip(now_left, left, strict=True))
        assert await pack_all(store) == PackedPage(None)
        assert [(await store.sync()).stale, (await store.get_storage_stats(ANA)).sessions] == [0, 1]
        # From Postgres, too.
        await redis.flushall()
        assert (await read_permanent(store)) == [as_read[0], as_read[1], as_read[-1]]


async def read_once(store: SectionStore) -> None:
    """Begin the epochs, so that what is written is cached."""
    for owner in (ANA, BEN):
        await store.get_user_preference(owner, "none")


async def read_permanent(store: SectionStore) -> list[object]:
    found = [await store.get_user_preference(ANA, "large"), await store.get_fact(BEN, "large", namespace="plugin")]
    return [
        *(replace(one, stored_size=0) for one in found if one is not None),
        *(await store.get_command_history(ANA)).items,
    ]


async def until_it_waits(database: Database) -> None:
    waits = "select count(*) from pg_locks where locktype = 'transactionid' and not granted"
    async with asyncio.timeout(20):
        while True:
            async with database.transaction() as session:
                if await session.scalar(text(waits)):
                    return
            await asyncio.sleep(0.02)


async def test_a_write_that_comes_meanwhile_stands(redis_url: str, database_url: str) -> None:
    """The other writer has written and not committed when the old value is read, and commits before it is replaced."""
    newer = (
        "update section_values set value = to_jsonb(repeat('newer ', 2000))::text::bytea, raw_size = 12002, "
        "version = nextval('section_versions') where key = 'large'"
    )
    async with (
        open_sections(redis_url, database_url, section_compress_bytes=OFF) as before,
        open_sections(redis_url, database_url) as store,
        Database.open(database_url) as database,
    ):
        written = await before.set_user_preference(ANA, "large", LARGE)
        async with database.transaction() as session:
            await session.execute(text(newer))
            packing = asyncio.create_task(store.pack())
            await until_it_waits(database)
            assert not packing.done()
        assert (await packing).packed == 0
        found = await store.get_user_preference(ANA, "large")
        assert found is not None
        assert (found.value, found.version > written.version) == ("newer " * 2_000, True)
        assert (await pack_all(store)).packed >= 1
        packed = await store.get_user_preference(ANA, "large")
        assert packed is not None
        assert replace(packed, stored_size=found.stored_size) == found


async def test_writers_and_readers_notice_nothing(redis_url: str, database_url: str) -> None:
    history: list[Did] = []

    async def write(store: SectionStore, key: str) -> None:
        for number in range(40):
            tag, start = f"{key} {number}", monotonic()
            kept = await store.set_user_preference(ANA, key, [tag, "word " * 1_000])
            history.append(Did("write", key, start, monotonic(), tag, kept.version))

    async def look(store: SectionStore, key: str, writing: asyncio.Task[None]) -> None:
        while not writing.done():
            start = monotonic()
            found = await store.get_user_preference(ANA, key)
            tag = str(found.value[0]) if found and isinstance(found.value, list) else None
            history.append(Did("read", key, start, monotonic(), tag, found.version if found else 0))

    async def pack(store: SectionStore, writing: asyncio.Task[None]) -> int:
        packed = 0
        while not writing.done():
            packed += (await pack_all(store)).packed
        return packed + (await pack_all(store)).packed

    async with (
        open_sections(redis_url, database_url, section_compress_bytes=OFF) as before,
        open_sections(redis_url, database_url) as store,
    ):
        await read_once(before)
        writing = {key: asyncio.create_task(write(before, key)) for key in ("a", "b")}
        looking = [asyncio.create_task(look(store, key, task)) for key, task in writing.items()]
        packed = await pack(store, writing["a"])
        await asyncio.gather(*looking, *writing.values())
        assert list(faults(history)) == []
        assert packed > 0
        for key in writing:
            found = await store.get_user_preference(ANA, key)
            assert found is not None
            assert found.value == [f"{key} 39", "word " * 1_000]
