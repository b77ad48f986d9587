"""Promise 2 where Postgres keeps it: numbers without gaps, no message twice, whoever writes when."""

import asyncio
import random
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest
from sqlalchemy import select, text

from services.domain.ids import message_id
from services.domain.memories import OwnerType, owner_of
from services.domain.messages import ClaimedEntry, NewMessage, Rejected
from services.postgres.archive.chunks import Chunks
from services.postgres.archive.rooms import Rooms
from services.postgres.archive.writing import Archive
from services.postgres.database import Database
from services.postgres.forgetting.erasing_messages import erase_messages
from services.postgres.tables.archive import ArchivedRow, ChunkRow, Room

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    async with Database.open(database_url) as opened:
        yield opened


def entry(position: int, content: str, identity: str) -> ClaimedEntry:
    return ClaimedEntry(position, content.encode(), NewMessage(identity, "user", content, "42", None, NOON))


def claim(name: str, contents: list[str]) -> list[ClaimedEntry]:
    return [entry(position, content, message_id(name, position)) for position, content in enumerate(contents)]


async def test_writers_at_once_give_out_each_number_once_and_readers_skip_none(database: Database) -> None:
    archive, rooms = Archive(database), Rooms(database)
    claims = {f"c{number}": [f"c{number}-{i}" for i in range(20)] for number in range(12)}
    seen: list[int] = []
    done = asyncio.Event()

    async def follow() -> None:
        while not done.is_set():
            new = await rooms.messages("room:a", after=seen[-1] if seen else 0)
            seen.extend(message.seq for message in new)

    async def write(name: str, contents: list[str]) -> None:
        await archive.add("room:a", name, claim(name, contents), run_id="run")

    reader = asyncio.create_task(follow())
    twice = [*claims.items(), *claims.items()]
    random.Random(7).shuffle(twice)
    await asyncio.gather(*(write(name, contents) for name, contents in twice))
    done.set()
    await reader
    await follow_up(rooms, seen)
    assert seen == list(range(1, 241))
    said = [message.content for message in await rooms.messages("room:a")]
    for contents in claims.values():
        assert [content for content in said if content in set(contents)] == contents


async def follow_up(rooms: Rooms, seen: list[int]) -> None:
    seen.extend(message.seq for message in await rooms.messages("room:a", after=seen[-1] if seen else 0))


async def test_archiving_again_counts_every_message_as_repeated(database: Database) -> None:
    archive = Archive(database)
    entries = [*claim("c", ["a", "b"]), ClaimedEntry(2, b"\xff", Rejected("not_json", "the entry is no JSON"))]
    first = await archive.add("room:a", "c", entries, run_id="one")
    second = await archive.add("room:a", "c", entries, run_id="two")
    assert (first.added, first.repeated, first.quarantined, first.last_seq) == (2, 0, 1, 2)
    assert (second.added, second.repeated, second.last_seq) == (0, 2, 2)


async def test_the_same_id_in_two_rooms_is_two_messages(database: Database) -> None:
    archive, rooms = Archive(database), Rooms(database)
    for room in ("room:a", "room:b"):
        await archive.add(room, "c", [entry(0, "hello", "m1")], run_id="run")
        assert len(await rooms.messages(room)) == 1


async def test_a_message_comes_out_as_it_went_in(database: Database) -> None:
    odd = ("NULL", "", "{}", '{"a",b}', "a\\\\'\"$1 :name %s", "ñ 😀 \u2028\ttab\nline", "x" * 300_000)
    said = [
        NewMessage(
            "m0", "tool", "", None, None, NOON, ({"name": odd[5], "arguments": {"n": 2**1000, "f": 1.5e-300}}, {})
        ),
        *(
            NewMessage(f"m{n}", "user", text, text[:50] or None, None, NOON, (), {text: [text, None]}, False)
            for n, text in enumerate(odd, 1)
        ),
    ]
    entries = [ClaimedEntry(position, b"", message) for position, message in enumerate(said)]
    assert (await Archive(database).add("room:a", "c", entries, run_id="run")).added == len(said)
    async with database.transaction() as session:
        rows = list(await session.scalars(select(ArchivedRow).order_by(ArchivedRow.seq)))
    kept = [
        NewMessage(
            *(row.id, row.role, row.content, row.user_id, row.company_id, row.sent_at),
            *(tuple(row.tool_calls), row.extra_metadata, row.remember),
        )
        for row in rows
    ]
    assert kept == said
    assert [(row.seq, row.claim, row.run_id) for row in rows] == [(n, "c", "run") for n in range(1, len(said) + 1)]
    assert [row.fingerprint for row in rows] == [message.fingerprint() for message in said]


async def test_a_message_that_is_erased_at_that_moment_does_not_come_back(database: Database) -> None:
    archive = Archive(database)
    entries = claim("c", ["a", "b"])
    await archive.add("room:a", "c", entries, run_id="one")
    async with database.transaction() as session:
        await erase_messages(session, "room:a", [1])
        # It has found that nothing was forgotten, and waits for the room.
        again = asyncio.create_task(archive.add("room:a", "c", entries, run_id="two"))
        await until_one_waits(database)
    done = await again
    assert (done.added, done.repeated, done.last_seq) == (0, 2, 2)
    assert [message.content for message in await Rooms(database).messages("room:a")] == ["b"]


async def until_one_waits(database: Database) -> None:
    waiting = text("select count(*) from pg_locks where not granted")
    async with asyncio.timeout(20):
        while True:
            async with database.transaction() as session:
                if await session.scalar(waiting):
                    return
            await asyncio.sleep(0.01)


def spoken(position: int, user_id: str | None, company_id: str | None) -> ClaimedEntry:
    message = NewMessage(f"m{position}", "user", "hello", user_id, company_id, NOON)
    return ClaimedEntry(position, b"", message)


@pytest.mark.parametrize(
    ("room", "speakers", "owner"),
    [
        ("room:a", [(None, None), ("42", "acme"), ("7", "globex")], ("company", "acme")),
        ("room:a", [("42", None), ("7", "globex")], ("user", "42")),
        ("room:a", [(None, None)], None),
        ("user:42", [("7", "acme")], ("user", "42")),
        ("user:42", [(None, None)], ("user", "42")),
    ],
)
@pytest.mark.parametrize("pages", [1, 3])
async def test_a_room_belongs_to_whoever_was_first_named_in_it_for_good(
    database: Database,
    room: str,
    speakers: list[tuple[str | None, str | None]],
    owner: tuple[OwnerType, str] | None,
    pages: int,
) -> None:
    entries = [spoken(position, *speaker) for position, speaker in enumerate(speakers)]
    size = len(entries) if pages == 1 else 1
    for part in (entries[first : first + size] for first in range(0, len(entries), size)):
        await Archive(database).add(room, "c", part, run_id="run")
    async with database.transaction() as session:
        found = (await session.execute(select(Room.owner_type, Room.owner_id))).one()
    expected = owner_of(*owner) if owner else None
    assert tuple(found) == ((expected.type, expected.id) if expected else (None, None))


async def test_what_is_archived_while_a_chunk_is_called_digested_is_left_to_whoever_does_that(
    database: Database,
) -> None:
    """Who archives sees the chunk at work until that is committed, and wakes nobody."""
    archive, chunks, rooms = Archive(database), Chunks(database, max_tokens=1_000, max_messages=10), Rooms(database)
    await archive.add("room:a", "c", claim("c", ["a"]), run_id="run")
    chunk = await chunks.next_waiting("room:a")
    assert chunk is not None
    async with database.transaction() as holding:
        await holding.execute(select(ChunkRow.id).where(ChunkRow.id == chunk.id).with_for_update())
        calling = asyncio.create_task(chunks.digested(chunk, run_id="run"))
        await until_somebody_waits(database)
        await archive.add("room:a", "d", claim("d", ["b"]), run_id="run")
        assert await rooms.has_live_chunk("room:a")
    assert await calling == 1


async def until_somebody_waits(database: Database) -> None:
    waiting = text("select count(*) from pg_locks where locktype = 'transactionid' and not granted")
    async with asyncio.timeout(30):
        while True:
            async with database.transaction() as session:
                if await session.scalar(waiting):
                    return
            await asyncio.sleep(0.02)
