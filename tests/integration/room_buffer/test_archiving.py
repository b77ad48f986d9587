"""A claim goes into the archive whole, in order, and a room that nobody digests is never taken for one that is."""

from collections.abc import AsyncIterator, Sequence

import pytest
from afterturn_client.messages import Message, encode_entry
from afterturn_client.recording import record_entries
from afterturn_client.redis_connection import AnyRedis
from sqlalchemy import text
from temporalio.common import Priority
from temporalio.testing import ActivityEnvironment

from activities.buffers import PAGE_ENTRIES, BufferActivities
from activities.steps import ArchiveInput, ArchiveResult, ClaimInput
from services.domain.memories import Owner
from services.domain.messages import ClaimedEntry
from services.memories.prefetching import Prefetching
from services.postgres.archive.chunks import Chunks
from services.postgres.archive.rooms import Rooms
from services.postgres.archive.writing import Archive, Archived
from services.postgres.database import Database
from services.room_buffer.buffer import Peek, RoomBuffer
from services.settings import BufferSettings

ROOM = "room:a"


class Woken:
    """Notes whom it was asked to wake, and says whether it can."""

    def __init__(self, *, can: bool = True) -> None:
        self.rooms: list[str] = []
        self._can = can

    async def wake(self, room_id: str, priority: Priority) -> bool:  # noqa: ARG002  as the port has it
        self.rooms.append(room_id)
        return self._can


class WarmsNothing:
    async def warm(self, owner: Owner, session_id: str) -> int:  # noqa: ARG002  as the store has it
        return 0


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    async with Database.open(database_url) as opened:
        yield opened


def steps(
    buffer: RoomBuffer, database: Database, archive: Archive | None = None, digests: Woken | None = None
) -> BufferActivities:
    settings = BufferSettings(_env_file=None)
    return BufferActivities(
        buffer,
        archive or Archive(database),
        Rooms(database),
        digests or Woken(),
        Prefetching(WarmsNothing()),
        settings,
    )


async def record(redis: AnyRedis, *contents: str) -> None:
    await record_entries(redis, ROOM, [encode_entry(Message(role="user", content=one)) for one in contents])


async def archived(activities: BufferActivities) -> ArchiveResult:
    environment = ActivityEnvironment()
    taken = await environment.run(activities.claim, ClaimInput(room_id=ROOM, at_once=True, waited_seconds=0))
    assert taken.claim is not None
    return await environment.run(activities.archive, ArchiveInput(room_id=ROOM, claim=taken.claim))


async def extract_all(database: Database) -> None:
    async with database.transaction() as session:
        await session.execute(text("update chunks set state = 'extracted'"))


async def digest_all(database: Database) -> None:
    async with database.transaction() as session:
        await session.execute(text("update chunks set state = 'digested'"))


@pytest.mark.parametrize("count", [1, PAGE_ENTRIES - 1, PAGE_ENTRIES, PAGE_ENTRIES + 1, 2 * PAGE_ENTRIES])
async def test_a_claim_of_any_length_is_archived_whole_before_it_goes(
    redis: AnyRedis, buffer: RoomBuffer, database: Database, count: int
) -> None:
    await record(redis, *(str(number) for number in range(count)))
    done = await archived(steps(buffer, database))
    assert (done.added, done.last_seq, done.released, done.next_claim) == (count, count, True, None)
    assert [message.content for message in await Rooms(database).messages(ROOM)] == [str(one) for one in range(count)]
    assert await buffer.peek(ROOM) == Peek(length=0, claim=None, claimed=0)


async def test_a_room_is_busy_while_a_chunk_of_it_waits(
    redis: AnyRedis, buffer: RoomBuffer, database: Database
) -> None:
    activities = steps(buffer, database)
    await record(redis, "a")
    assert not (await archived(activities)).digest_is_busy
    assert await Chunks(database, max_tokens=1_000, max_messages=10).next_waiting(ROOM)
    await record(redis, "b")
    assert (await archived(activities)).digest_is_busy
    await extract_all(database)
    await record(redis, "b2")
    assert (await archived(activities)).digest_is_busy
    await digest_all(database)
    await record(redis, "c")
    assert not (await archived(activities)).digest_is_busy


async def test_a_room_whose_last_chunk_was_digested_at_that_moment_is_not_busy(
    redis: AnyRedis, buffer: RoomBuffer, database: Database
) -> None:
    class DigestedAfterwards(Archive):
        async def add(
            self, room_id: str, claim: str, entries: Sequence[ClaimedEntry], *, run_id: str, epoch: int | None = None
        ) -> Archived:
            done = await super().add(room_id, claim, entries, run_id=run_id, epoch=epoch)
            await digest_all(database)
            return done

    await record(redis, "a")
    await archived(steps(buffer, database))
    assert await Chunks(database, max_tokens=1_000, max_messages=10).next_waiting(ROOM)
    await record(redis, "b")
    assert not (await archived(steps(buffer, database, DigestedAfterwards(database)))).digest_is_busy


async def test_the_digest_is_woken_once_the_room_is_empty(
    redis: AnyRedis, buffer: RoomBuffer, database: Database
) -> None:
    """While it has a chunk to do it looks for more by itself."""
    digests = Woken()
    activities = steps(buffer, database, digests=digests)
    await record(redis, "a")
    assert (await archived(activities)).digest_is_woken
    assert digests.rooms == [ROOM]
    assert await Chunks(database, max_tokens=1_000, max_messages=10).next_waiting(ROOM)
    await record(redis, "b")
    assert not (await archived(activities)).digest_is_woken
    assert digests.rooms == [ROOM]


async def test_a_claim_that_others_wait_behind_wakes_nobody(
    redis: AnyRedis, buffer: RoomBuffer, database: Database
) -> None:
    class MoreMeanwhile(Archive):
        async def add(
            self, room_id: str, claim: str, entries: Sequence[ClaimedEntry], *, run_id: str, epoch: int | None = None
        ) -> Archived:
            await record(redis, "b")
            return await super().add(room_id, claim, entries, run_id=run_id, epoch=epoch)

    digests = Woken()
    await record(redis, "a")
    first = await archived(steps(buffer, database, MoreMeanwhile(database), digests))
    assert first.next_claim is not None
    assert (first.digest_is_woken, digests.rooms) == (False, [])
    last = await ActivityEnvironment().run(
        steps(buffer, database, digests=digests).archive, ArchiveInput(room_id=ROOM, claim=first.next_claim)
    )
    assert (last.next_claim, last.digest_is_woken, digests.rooms) == (None, True, [ROOM])


async def test_who_cannot_be_woken_is_left_to_the_workflow(
    redis: AnyRedis, buffer: RoomBuffer, database: Database
) -> None:
    await record(redis, "a")
    done = await archived(steps(buffer, database, digests=Woken(can=False)))
    assert (done.digest_is_woken, done.digest_is_busy) == (False, False)
