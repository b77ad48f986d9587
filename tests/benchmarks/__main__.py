"""Measures on this machine, as ratios in one run: `make bench`.

recording   a turn through the client against a bare RPUSH of the same entries
pipeline    turns a second from recording to digest, with a model that answers at once
search      a hybrid search in one room against an exact vector scan of the same room
"""

import asyncio
import os
import statistics
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from random import Random

from afterturn_client.memory_client import MemoryClient
from afterturn_client.messages import Message, encode_entry
from afterturn_client.rooms import buffer_key
from rich.console import Console
from rich.table import Table
from sqlalchemy import text

from services import temporal
from services.domain.ids import message_uid
from services.domain.messages import ClaimedEntry, NewMessage
from services.embedded.postgres_server import PostgresServer
from services.embedded.redis_server import RedisServer
from services.embedded.temporal_server import TemporalServer
from services.postgres.migrate import upgrade
from services.postgres.search.searching import Search
from services.postgres.vectors.tables import Embeddings, Item
from services.resources import Resources, open_resources
from services.worker.run import serving
from tests.support.main_job import settings_of
from tests.support.openai_server import OpenAIServer
from tests.support.rooms import until_digested
from tests.support.servers import short_folder

TURNS = 300
ROOMS = 20
TURNS_A_ROOM = 10
ARCHIVED = 5_000
SEARCHES = 50
DIMENSIONS = 384
WORDS = [f"word{number}" for number in range(2_000)]


async def timed(times: int, call: Callable[[int], Awaitable[object]]) -> list[float]:
    """Give the seconds of each call."""
    seconds = []
    for number in range(times):
        started = time.perf_counter()
        await call(number)
        seconds.append(time.perf_counter() - started)
    return sorted(seconds)


def row(name: str, seconds: list[float], against: list[float]) -> tuple[str, ...]:
    p50, p99 = statistics.median(seconds), seconds[int(len(seconds) * 0.99)]
    ratio = p50 / statistics.median(against)
    return name, f"{p50 * 1000:.2f}", f"{p99 * 1000:.2f}", f"{len(seconds) / sum(seconds):.0f}", f"{ratio:.2f}"


async def recording(resources: Resources, memory: MemoryClient) -> list[tuple[str, ...]]:
    entry = encode_entry(Message(role="user", content="I moved to Lima and need a flat near the sea."))
    bare = await timed(TURNS, lambda _: resources.redis.rpush(buffer_key("room:bare"), entry, entry))
    turns = await timed(
        TURNS, lambda _: memory.record_turn("user:1", user="I moved to Lima and need a flat", assistant="Noted")
    )
    return [row("bare RPUSH of two entries", bare, bare), row("record_turn", turns, bare)]


async def pipeline(resources: Resources, memory: MemoryClient) -> tuple[str, float]:
    started = time.perf_counter()
    for turn in range(TURNS_A_ROOM):
        await asyncio.gather(
            *(memory.record_turn(f"user:p{room}", user=f"asks {turn}", assistant="hears") for room in range(ROOMS))
        )
    for room in range(ROOMS):
        await until_digested(resources, f"user:p{room}", 2 * TURNS_A_ROOM, seconds=300)
    return f"{ROOMS} rooms of {TURNS_A_ROOM} turns", ROOMS * TURNS_A_ROOM / (time.perf_counter() - started)


async def search(resources: Resources) -> list[tuple[str, ...]]:
    random, noon = Random(1), datetime(2026, 3, 2, tzinfo=UTC)

    def vector() -> list[float]:
        return [random.gauss() for _ in range(DIMENSIONS)]

    model = resources.models.embedding_model
    embeddings, search = Embeddings(resources.database, model), Search(resources.database, model)
    for start in range(0, ARCHIVED, 500):
        entries = [
            ClaimedEntry(
                n,
                b"",
                NewMessage(f"m{n}", "user", " ".join(random.choices(WORDS, k=25)), "s", None, noon + timedelta(0, n)),
            )
            for n in range(start, start + 500)
        ]
        await resources.archive.add("user:s", "claim", entries, run_id="bench")
        items = [Item(message_uid("user:s", f"m{n}"), "message", "user:s") for n in range(start, start + 500)]
        await embeddings.save({item: vector() for item in items})

    async def scan(_: int) -> None:
        async with resources.database.transaction() as session:
            table = (
                await session.execute(text("select table_name from embedding_models where dimensions = 384"))
            ).scalar_one()
            wanted = text(f"select item_id from {table} where room_id = 'user:s' order by embedding <=> :v limit 10")  # noqa: S608
            await session.execute(wanted, {"v": str(vector())})

    scans = await timed(SEARCHES, scan)
    hybrid = await timed(
        SEARCHES, lambda _: search.find(" ".join(random.choices(WORDS, k=6)), vector(), room_id="user:s")
    )
    return [row(f"vector scan, {ARCHIVED} messages", scans, scans), row("hybrid search", hybrid, scans)]


async def main() -> None:
    with short_folder() as folder:
        async with (
            RedisServer(folder / "redis") as redis,
            PostgresServer(folder / "postgres", database="afterturn") as postgres,
            TemporalServer(folder / "temporal") as server,
            OpenAIServer(answer=lambda _: "The user asks.") as model,
        ):
            await upgrade(postgres.url)
            os.environ |= settings_of(redis.url, postgres.url, server.address, model)
            async with open_resources() as resources, MemoryClient.connect() as memory:
                await measure(resources, memory)


async def measure(resources: Resources, memory: MemoryClient) -> None:
    table = Table("what", "p50 ms", "p99 ms", "a second", "ratio of p50")
    for line in await recording(resources, memory):
        table.add_row(*line)
    os.environ["EMBEDDING_MODEL"] = "bench-384"
    async with open_resources() as others:
        for line in await search(others):
            table.add_row(*line)
    async with serving(resources, await temporal.connect()):
        name, rate = await pipeline(resources, memory)
    console = Console()
    console.print(table)
    console.print(f"pipeline: {name}, {rate:.1f} turns a second from recording to digest")


if __name__ == "__main__":
    asyncio.run(main())
