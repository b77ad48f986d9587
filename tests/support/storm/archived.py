"""Counts what became of every message: lost, doubled, out of order, and whether each chunk was digested once."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import asyncpg

from services.postgres.archive.rooms import Rooms
from services.postgres.database import Database
from tests.support.storm.talk import Ledger, Said, tags


@dataclass(frozen=True, slots=True)
class Stored:
    room: str
    seq: int
    tag: str


async def stored(connection: "asyncpg.Connection[asyncpg.Record]") -> list[Stored]:
    rows = await connection.fetch("select room_id, seq, content from messages order by room_id, seq")
    return [Stored(row["room_id"], row["seq"], *tags([row["content"]])) for row in rows]


def lost(ledger: Ledger, archive: Sequence[Stored]) -> list[str]:
    there = {(one.room, one.tag) for one in archive}
    return [one.tag for one in ledger.acknowledged if (one.room, one.tag) not in there]


def doubled(archive: Sequence[Stored]) -> list[str]:
    return [tag for tag, times in Counter(one.tag for one in archive).items() if times > 1]


def never_said(ledger: Ledger, archive: Sequence[Stored]) -> list[str]:
    said = {(one.room, one.tag) for one in ledger.said}
    return [one.tag for one in archive if (one.room, one.tag) not in said]


def out_of_order(ledger: Ledger, archive: Sequence[Stored]) -> list[str]:
    """Give what stands before something that its producer was acknowledged earlier in the same room."""
    seqs = {one.tag: one.seq for one in archive}
    spoken: defaultdict[str, list[Said]] = defaultdict(list)
    for one in ledger.acknowledged:
        spoken[one.producer].append(one)
    found = []
    for one_after_another in spoken.values():
        highest = 0
        for one in one_after_another:
            seq = seqs.get(one.tag, highest + 1)
            if seq <= highest:
                found.append(one.tag)
            highest = max(highest, seq)
    return found


def numbers_missing(archive: Sequence[Stored]) -> list[str]:
    """Give the rooms whose messages are not numbered from 1 without a gap."""
    numbers: defaultdict[str, list[int]] = defaultdict(list)
    for one in archive:
        numbers[one.room].append(one.seq)
    return [room for room, seqs in numbers.items() if seqs != list(range(1, len(seqs) + 1))]


async def chunk_faults(connection: "asyncpg.Connection[asyncpg.Record]") -> list[str]:
    """Give what is wrong with the chunks: gaps, overlaps, those not digested, and summaries that are not one each."""
    rows = await connection.fetch(
        "select c.id, c.room_id, c.first_seq, c.last_seq, c.state, r.last_seq as end, r.chunked_seq,"
        " count(s.id) filter (where s.kind = 'chunk') as own,"
        " count(s.id) filter (where s.kind = 'rolling') as rolling"
        " from rooms r left join chunks c on c.room_id = r.id and c.state <> 'split'"
        " left join summaries s on s.chunk_id = c.id"
        " group by c.id, r.id order by c.room_id, c.first_seq"
    )
    by_room: defaultdict[str, list[asyncpg.Record]] = defaultdict(list)
    for row in rows:
        by_room[row["room_id"] or "a room without chunks"].append(row)
    return [fault for chunks in by_room.values() for fault in _faults_of_room(chunks)]


def _faults_of_room(chunks: Sequence[asyncpg.Record]) -> Iterator[str]:
    expected = 1
    for chunk in chunks:
        name = f"{chunk['room_id']} {chunk['first_seq']}-{chunk['last_seq']}"
        if chunk["first_seq"] != expected:
            yield f"{name}: {expected} was expected"
        if chunk["state"] != "digested" or (chunk["own"], chunk["rolling"]) != (1, 1):
            yield f"{name}: {chunk['state']}, {chunk['own']} summaries, {chunk['rolling']} rolling ones"
        expected = (chunk["last_seq"] or 0) + 1
    last = chunks[-1]
    if expected != last["end"] + 1 or last["chunked_seq"] != last["end"]:
        yield f"{last['room_id']}: chunks end at {expected - 1}, the room at {last['end']}"


async def without_vector(connection: "asyncpg.Connection[asyncpg.Record]") -> int:
    """Count messages and summaries of chunks that have no vector."""
    place = await connection.fetchval("select table_name from embedding_models where role = 'current'")
    asked = (
        "select (select count(*) from messages m where not exists (select from {0} e where e.item_id = m.uid))"
        " + (select count(*) from summaries s where s.kind = 'chunk'"
        " and not exists (select from {0} e where e.item_id = s.id))"
    )
    return int(await connection.fetchval(asked.format(place)))


async def bad_receipts(database: Database, archive: Sequence[Stored]) -> list[str]:
    """Give the messages whose receipt does not say that they are digested, and by which run."""
    rooms, found = Rooms(database), []
    for room in sorted({one.room for one in archive}):
        receipts = await rooms.receipts(room)
        numbers = [one.seq for one in archive if one.room == room]
        found += [one.message_id for one in receipts if one.state != "digested" or "/" not in one.run_id]
        found += [f"{room}: {len(receipts)} receipts"] if [one.seq for one in receipts] != numbers else []
    return found
