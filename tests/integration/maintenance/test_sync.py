"""`SyncMemory` gives stray claims back to their rooms, and mends counters that lag behind their rows."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
from afterturn_client.redis_connection import AnyRedis, open_redis
from afterturn_client.rooms import claim_key, pointer_key
from temporalio.testing import ActivityEnvironment

from activities.maintenance_steps import Synced, SyncPageInput
from activities.synchronise import SyncActivities
from services.domain.memories import owner_of
from services.postgres.archive.room_counters import RoomCounters
from services.postgres.archive.rooms import Rooms
from services.postgres.database import Database
from services.room_buffer.buffer import RoomBuffer
from tests.support.memories_kept import run_sql
from tests.support.old_rows import OldRows

_MESSAGE = """
insert into messages (room_id, seq, id, uid, role, content, sent_at, tool_calls, extra_metadata, remember, language,
                      fingerprint, claim, run_id)
values (:room, :seq, :id, gen_random_uuid(), 'user', 'hi', now(), '[]', '{}', true, 'english', '', 'c', 'r')
"""


@dataclass(frozen=True)
class Page:
    cursor: str | None = None
    checked: int = 5
    stale: int = 1
    marks: int = 0
    ended: int = 0
    embedded: int = 0
    dropped: int = 0


class TwoPages:
    """A section store whose cache takes two pages."""

    async def sync(self, cursor: str | None, *, limit: int) -> Page:
        return Page(cursor="redis:7" if cursor is None else None, checked=limit)

    async def expire_commands(self, days: int, *, limit: int) -> int:
        raise AssertionError(f"nothing expires here, and not {days} or {limit}")

    async def clean_up(self, *, limit: int) -> None:
        raise AssertionError(f"nothing is cleaned here, and not {limit}")


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[AnyRedis]:
    client = open_redis(redis_url, answer_seconds=5)
    yield client
    await client.aclose()


async def synced(activities: SyncActivities) -> Synced:
    """Do all pages, as the workflow does."""
    found, after, pages = Synced(), None, 0
    while pages == 0 or after is not None:
        page = await ActivityEnvironment().run(activities.sync, SyncPageInput(after=after))
        found, after, pages = found.plus(page.found), page.next_after, pages + 1
    return found


async def test_a_claim_that_no_pointer_names_is_given_back_to_its_room(redis: AnyRedis, database: Database) -> None:
    await redis.rpush(claim_key("room:lost", "left"), b"{}")
    found = await synced(SyncActivities(RoomBuffer(redis), RoomCounters(database), None))
    assert found == Synced(rooms=1)
    assert await redis.get(pointer_key("room:lost")) == b"left"


async def test_counters_that_lag_are_mended_and_others_left(redis: AnyRedis, database: Database) -> None:
    rows = OldRows(database)
    owner = owner_of("user", "ana")
    for room in ("user:behind", "user:gone", "user:right"):
        await rows.room(room, owner)
        await run_sql(database, _MESSAGE, room=room, seq=4, id="m")
    # 5 chunks by now: those of the room whose messages are gone cover more than it has.
    for room in ("user:behind", "user:gone"):
        await rows.chunk(room, "digested", days=0)
    await run_sql(database, "update rooms set last_seq = 1, chunked_seq = 0 where id = 'user:behind'")
    await run_sql(database, "delete from messages where room_id = 'user:gone'")
    await run_sql(database, "update rooms set last_seq = 0, chunked_seq = 0 where id = 'user:gone'")
    activities = SyncActivities(RoomBuffer(redis), RoomCounters(database), None, page=2)
    assert (await synced(activities)).counters == 1
    assert (await synced(activities)).counters == 0
    rooms = Rooms(database)
    assert [await rooms.last_seq(room) for room in ("user:behind", "user:gone", "user:right")] == [4, 0, 4]


async def test_the_section_store_is_gone_through_page_by_page(redis: AnyRedis, database: Database) -> None:
    activities = SyncActivities(RoomBuffer(redis), RoomCounters(database), TwoPages(), page=10)  # type: ignore[arg-type]
    assert (await synced(activities)).sections == {
        "checked": 20,
        "stale": 2,
        "marks": 0,
        "ended": 0,
        "embedded": 0,
        "dropped": 0,
    }
