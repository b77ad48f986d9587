"""Measures search on this machine: `python -m tests.benchmarks.search [memories]`.

room      a search in a room of 5,000 messages, against an exact vector scan of the same room
owner     a search in one person's 500 memories among 100,000 (or so many) of others, against the same scan
"""

import asyncio
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from random import Random

from rich.console import Console
from rich.table import Table

from services.domain.ids import message_uid
from services.domain.messages import ClaimedEntry, NewMessage
from services.embedded.postgres_server import PostgresServer
from services.postgres.archive.writing import Archive
from services.postgres.database import Database, Tenant
from services.postgres.migrate import upgrade
from services.postgres.search.searching import Search
from services.postgres.vectors.tables import Embeddings, Item
from tests.support import many_memories
from tests.support.servers import short_folder

COLUMNS = ("what", "p50 ms", "p95 ms", "a second", "ratio of p50")
MODEL = "bench-384"
DIMENSIONS = 384
MESSAGES = 5_000
MEMORIES = 100_000
EACH = 500
SEARCHES = 60
ROOM = "user:s"
WORDS = [f"word{number}" for number in range(2_000)]
_WARM = 8
_AT_ONCE = 500
_SCAN = (
    "select item_id from embeddings_many where room_id = $1 order by embedding <=> (select $2::text::vector) limit 10"
)


async def rows(memories: int = MEMORIES) -> list[tuple[str, ...]]:
    """Give a row of `COLUMNS` for each thing that is measured."""
    with short_folder() as folder:
        async with PostgresServer(folder / "postgres", database="bench") as postgres:
            await upgrade(postgres.url)
            await many_memories.fill(
                postgres.url, MODEL, owners=memories // EACH + 1, each=EACH, dimensions=DIMENSIONS, vectors=2_000
            )
            async with Database.open(postgres.url) as database, many_memories.plainly(postgres.url) as plain:
                await _talk(database)
                return [*await _room(database, plain), *await _owner(database, plain, memories)]


async def _talk(database: Database) -> None:
    random, noon = Random(1), datetime(2026, 3, 2, tzinfo=UTC)
    for start in range(0, MESSAGES, _AT_ONCE):
        numbers = range(start, start + _AT_ONCE)
        entries = [
            ClaimedEntry(n, b"", NewMessage(f"m{n}", "user", _words(random, 25), "s", None, noon + timedelta(0, n)))
            for n in numbers
        ]
        await Archive(database).add(ROOM, "claim", entries, run_id="bench")
        items = [Item(message_uid(ROOM, f"m{n}"), "message", ROOM) for n in numbers]
        await Embeddings(database, MODEL).save({item: _vector(random) for item in items})


async def _room(database: Database, plain: many_memories.Plain) -> list[tuple[str, ...]]:
    random, search = Random(2), Search(database, MODEL)
    scans = await _timed(lambda: plain.connection.fetch(_SCAN, ROOM, str(_vector(random))))
    searches = await _timed(lambda: search.find(_words(random, 6), _vector(random), room_id=ROOM))
    return [_row(f"vector scan, {MESSAGES:,} messages", scans, scans), _row("search in that room", searches, scans)]


async def _owner(database: Database, plain: many_memories.Plain, memories: int) -> list[tuple[str, ...]]:
    random, search, owner = Random(3), Search(database, MODEL), many_memories.SOMEBODY
    scans = await _timed(lambda: plain.nearest(owner.id, _vector(random), 10))
    searches = await _timed(lambda: search.find(_words(random, 6), _vector(random), tenant=Tenant.of(owner)))
    return [
        _row(f"vector scan, {EACH} of {memories + EACH:,} memories", scans, scans),
        _row("search by their owner", searches, scans),
    ]


async def _timed(call: Callable[[], Awaitable[object]]) -> list[float]:
    seconds = []
    for _ in range(_WARM + SEARCHES):
        started = time.perf_counter()
        await call()
        seconds.append(time.perf_counter() - started)
    return sorted(seconds[_WARM:])


def _row(name: str, seconds: list[float], against: list[float]) -> tuple[str, ...]:
    p50, p95 = statistics.median(seconds), seconds[int(len(seconds) * 0.95)]
    ratio = p50 / statistics.median(against)
    return name, f"{p50 * 1000:.2f}", f"{p95 * 1000:.2f}", f"{len(seconds) / sum(seconds):.0f}", f"{ratio:.2f}"


def _words(random: Random, count: int) -> str:
    return " ".join(random.choices(WORDS, k=count))


def _vector(random: Random) -> list[float]:
    return [random.gauss() for _ in range(DIMENSIONS)]


def main() -> None:
    table = Table(*COLUMNS)
    for line in asyncio.run(rows(*(int(argument) for argument in sys.argv[1:2]))):
        table.add_row(*line)
    Console().print(table)


if __name__ == "__main__":
    main()
