"""Messages past their retention go, with all that was made of them; what is not digested yet stays."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from services.domain.ids import message_uid
from services.domain.memories import NewMemory, Owner, owner_of
from services.domain.messages import NewMessage
from services.mem0_store.open_source import OpenSourceStore
from services.memories.expiring import MessageExpiry
from services.postgres.archive import summaries
from services.postgres.archive.chunks import Chunks
from services.postgres.archive.digests import message_item, summary_item
from services.postgres.archive.rooms import Rooms
from services.postgres.archive.summaries import Summary
from services.postgres.database import Database
from services.postgres.memories.brain import Brain
from services.postgres.upkeep.expired_messages import ExpiredMessages
from services.postgres.upkeep.retention import Retentions
from services.postgres.vectors.tables import Embeddings
from tests.support.memories_kept import MODEL, kept, run_sql
from tests.support.tenants import archive

ANA, BEN, ACME = owner_of("user", "ana"), owner_of("user", "ben"), owner_of("company", "acme")
START = datetime(2026, 1, 1, tzinfo=UTC)
ROOM = "room:kitchen"
OLD, NEW = 40, 1
VECTOR = [1.0] * 8


@pytest.fixture
def chunks(database: Database) -> Chunks:
    return Chunks(database, max_tokens=1_000, max_messages=2)


async def said(
    database: Database, room: str, *messages: tuple[str, str], days: int, company: str | None = None
) -> None:
    """Archive messages, each an id and its speaker, and let them be so old."""
    new = [NewMessage(id_, "user", f"{id_} is secret", speaker, company, START) for id_, speaker in messages]
    await archive(database, room, new)
    await run_sql(
        database,
        "update messages set archived_at = now() - make_interval(days => :days) "
        "where room_id = :room and id = any(:ids)",
        days=days,
        room=room,
        ids=[id_ for id_, _ in messages],
    )


async def digest(database: Database, chunks: Chunks, room: str) -> None:
    while chunk := await chunks.next_waiting(room):
        first, last = chunk.messages[0].seq, chunk.messages[-1].seq
        told = Summary(f"told {first} to {last}", "model", first, last, "v1", MODEL)
        so_far = Summary(f"told 1 to {last}", "model", 1, last, "v1", MODEL)
        async with database.transaction() as session:
            await summaries.keep(session, room, chunk.id, {"chunk": told, "rolling": so_far}, run_id="run")
        items = {message_item(one): VECTOR for one in chunk.messages}
        await Embeddings(database, MODEL).save(items | {summary_item(chunk, told): VECTOR})
        await chunks.digested(chunk, run_id="run")


async def expire(database: Database, store: OpenSourceStore | None = None, *, days: int = 30) -> dict[str, int]:
    expiry = MessageExpiry(ExpiredMessages(database, days=days), store)
    removed: dict[str, int] = {}
    after: str | None = ""
    while after is not None:
        page = await expiry.expire_page(after)
        removed = {name: removed.get(name, 0) + count for name, count in page.removed.items()} or removed
        after = page.next_after
    return removed


async def left(database: Database, column: str = "id", table: str = "messages") -> list[str]:
    async with database.transaction() as session:
        return list(await session.scalars(text(f"select {column} from {table} order by 1")))  # noqa: S608


async def learned(store: OpenSourceStore, slug: str, message: str, day: int = 0) -> None:
    at, sources = START + timedelta(days=day), (message_uid(ROOM, message),)
    await store.save(ANA, NewMemory(slug, f"{slug} is so", at, made_by="model", sources=sources))


async def test_expired_messages_go_with_all_that_was_made_of_them_and_nothing_else(
    store: OpenSourceStore, database: Database, chunks: Chunks
) -> None:
    await said(database, ROOM, ("m1", "ana"), ("m2", "ana"), ("m3", "ana"), ("m4", "ben"), days=OLD)
    await said(database, ROOM, ("m5", "ben"), ("m6", "ben"), days=NEW)
    await digest(database, chunks, ROOM)
    for day, (slug, message) in enumerate(
        (("city", "m1"), ("pet", "m4"), ("job", "m5"), ("home", "m2"), ("home", "m6"))
    ):
        await learned(store, slug, message, day)
    await store.save(ANA, NewMemory("plan", "chosen in a form", START, made_by="caller"))

    both = await asyncio.gather(expire(database, store), expire(database, store))

    assert sum(one.get("messages", 0) for one in both) == 4
    assert await left(database) == ["m5", "m6"]
    assert await left(database, "text", "summaries") == ["told 5 to 6"]
    standing = {memory.slug for memory in await Brain(database).get_all_by_user(ANA.id)}
    assert standing == {"job", "home", "plan"}
    assert (await kept(database)).agrees()
    # The room stays hers, whoever is left in it, and its summary is made again of what is left.
    assert await left(database, "owner_id", "rooms") == [ANA.id]
    waiting = await chunks.next_waiting(ROOM)
    assert waiting is not None
    assert [one.id for one in waiting.messages] == ["m5", "m6"]
    # A producer that repeats old turns brings nothing back, and numbers go on.
    await said(database, ROOM, ("m1", "ana"), ("m7", "ana"), days=NEW)
    assert await left(database) == ["m5", "m6", "m7"]
    assert await Rooms(database).last_seq(ROOM) == 7


@pytest.mark.parametrize("state", ["waiting", "extracted", "quarantined", "uncut"])
async def test_what_a_digest_still_needs_stays_however_old_it_is(
    state: str, database: Database, chunks: Chunks
) -> None:
    await said(database, ROOM, ("m1", "ana"), ("m2", "ana"), days=OLD)
    await digest(database, chunks, ROOM)
    await said(database, ROOM, ("m3", "ana"), ("m4", "ana"), days=OLD)
    if state != "uncut":
        await chunks.next_waiting(ROOM)
        await run_sql(database, "update chunks set state = :state where first_seq = 3", state=state)
    assert (await expire(database))["messages"] == 2
    assert await left(database) == ["m3", "m4"]
    assert (await expire(database)).get("messages", 0) == 0


async def test_a_chunk_stays_until_the_last_of_it_is_old(database: Database, chunks: Chunks) -> None:
    await said(database, ROOM, ("m1", "ana"), days=OLD)
    await said(database, ROOM, ("m2", "ana"), days=NEW)
    await digest(database, chunks, ROOM)
    assert await expire(database) == {}
    assert await left(database) == ["m1", "m2"]


async def test_rooms_keep_their_messages_for_as_long_as_their_owner_wants(database: Database, chunks: Chunks) -> None:
    rooms: dict[str, tuple[str, Owner]] = {
        "user:ana": ("ana", ANA),
        "user:ben": ("ben", BEN),
        "room:acme": ("eve", ACME),
    }
    for number, (room, (speaker, owner)) in enumerate(rooms.items()):
        company = "acme" if owner is ACME else None
        messages = [(f"{room} {place}", speaker) for place in range(5)]
        await said(database, room, *messages, days=OLD + number, company=company)
        await digest(database, chunks, room)
    assert await expire(database, days=0) == {}
    await Retentions(database).set(BEN, "messages", 0)
    await Retentions(database).set(ACME, "messages", OLD)
    assert (await expire(database, days=0))["messages"] == 5
    assert set(await left(database, "room_id")) == {"user:ana", "user:ben"}
    assert (await expire(database, days=30))["messages"] == 5
    assert set(await left(database, "room_id")) == {"user:ben"}
    await Retentions(database).set(BEN, "messages", None)
    assert await expire(database, days=OLD + 10) == {}
