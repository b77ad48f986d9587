"""How costs grow: `python -m tests.benchmarks.growth [memories|rooms|workers] [--record FILE] [--most NUMBER]`.

memories   search among an owner's 500 memories while there are 1,000 to 1,000,000 of all owners: p50, p95, and the
           share of the nearest ten that it finds
rooms      from a turn to its digest, while the archive holds 10 to 10,000 rooms of 40 messages
workers    a backlog worked off by one worker process and by two; an idle worker's memory; bytes a turn takes

What is recorded with `--record` is drawn by `python -m tests.benchmarks.growth_plots FILE`.
"""

import argparse
import asyncio
import json
import statistics
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from typing import Any

import asyncpg
import psutil
from rich.console import Console
from rich.table import Table

from services.embedded.postgres_server import PostgresServer
from services.postgres.database import Database, Tenant
from services.postgres.migrate import upgrade
from services.postgres.search.searching import Search
from tests.benchmarks.side_by_side import runs
from tests.benchmarks.side_by_side.afterturn_arm import AfterturnArm
from tests.benchmarks.side_by_side.servers import Stage, stage
from tests.support import many_memories
from tests.support.servers import FAST_POSTGRES, short_folder

MODEL, DIMENSIONS, EACH = "bench-384", 384, 500
SEARCHES, WARM, NEAREST = 60, 8, 10
WORDS = [f"word{number}" for number in range(2_000)]
MEMORIES = (1_000, 10_000, 100_000, 1_000_000)
ROOMS = (10, 100, 1_000, 10_000)
LOAD_RATE, LOAD_SECONDS = 4, 15
_MEBIBYTE = 1024 * 1024
_DISTANCES = (
    "select v.slug, m.vector <=> (select $2::text::vector) as distance from memory_versions as v "
    "join mem0_many as m on m.id = v.brain_id where v.user_id = $1 order by distance"
)
_ROOMS = """
insert into rooms (id, user_id, last_seq, chunked_seq) select 'user:old-' || n, 'old-' || n, 40, 40
from generate_series($1::int, $2::int) as n;
"""
_MESSAGES = """
insert into messages (room_id, seq, id, uid, role, content, user_id, sent_at, tool_calls, extra_metadata, remember,
    language, fingerprint, claim, run_id)
select 'user:old-' || n, s, 'm' || s, gen_random_uuid(), 'user', 'Question ' || s || ' about a flat number ' || n,
    'old-' || n, now(), '[]', '{}', true, 'english', '\\x00', 'claim', 'run'
from generate_series($1::int, $2::int) as n, generate_series(1, 40) as s
"""
_CHUNKS = """
insert into chunks (id, room_id, first_seq, last_seq, tokens, state, digested_at)
select gen_random_uuid(), 'user:old-' || n, 1, 40, 1000, 'digested', now()
from generate_series($1::int, $2::int) as n
"""


async def memories(most: int) -> list[dict[str, Any]]:
    return [await _searched(count) for count in (*(one for one in MEMORIES if one < most), most)]


async def _searched(count: int) -> dict[str, Any]:
    with short_folder() as folder:
        async with PostgresServer(folder / "postgres", database="bench", settings=FAST_POSTGRES) as postgres:
            await upgrade(postgres.url)
            began = time.perf_counter()
            await many_memories.fill(
                postgres.url, MODEL, owners=max(2, count // EACH), each=EACH, dimensions=DIMENSIONS, vectors=2_000
            )
            filled = time.perf_counter() - began
            async with Database.open(postgres.url) as database, many_memories.plainly(postgres.url) as plain:
                seconds, scans = await _times(Search(database, MODEL), plain)
                recall = await _recall(Search(database, MODEL), plain)
                size = await plain.connection.fetchval("select pg_database_size('bench')")
    return {
        "memories": count,
        "p50_ms": statistics.median(seconds) * 1000,
        "p95_ms": seconds[int(len(seconds) * 0.95)] * 1000,
        "scan_p50_ms": statistics.median(scans) * 1000,
        "recall": recall,
        "bytes_a_memory": size / count,
        "filled_seconds": filled,
    }


async def _times(search: Search, plain: many_memories.Plain) -> tuple[list[float], list[float]]:
    """Time searches, and exact scans of the same owner's vectors in between: the machine's noise hits both."""
    chance, seconds, scans = Random(3), [], []
    for _ in range(WARM + SEARCHES):
        words, vector = " ".join(chance.choices(WORDS, k=6)), _vector(chance)
        started = time.perf_counter()
        await search.find(words, vector, tenant=Tenant.of(many_memories.SOMEBODY))
        found = time.perf_counter()
        await plain.nearest(many_memories.SOMEBODY.id, vector, NEAREST)
        seconds.append(found - started)
        scans.append(time.perf_counter() - found)
    return sorted(seconds[WARM:]), sorted(scans[WARM:])


async def _recall(search: Search, plain: many_memories.Plain) -> float:
    """Search by a vector alone, and compare with an exact scan; one as near as the last of the nearest is as good."""
    chance, shares = Random(4), []
    for _ in range(20):
        vector = _vector(chance)
        rows = await plain.connection.fetch(_DISTANCES, many_memories.SOMEBODY.id, str(vector))
        last = rows[NEAREST - 1]["distance"]
        nearest = {row["slug"] for row in rows if row["distance"] <= last}
        hits = await search.find("", vector, tenant=Tenant.of(many_memories.SOMEBODY), limit=NEAREST)
        shares.append(len(nearest & {hit.slug for hit in hits}) / NEAREST)
    return statistics.mean(shares)


def _vector(chance: Random) -> list[float]:
    return [chance.gauss() for _ in range(DIMENSIONS)]


@asynccontextmanager
async def ours() -> AsyncIterator[tuple[Stage, AfterturnArm]]:
    with short_folder() as folder:
        async with stage(folder, model_seconds=0.2, linger_seconds=1) as on:
            logs = folder / "logs"
            logs.mkdir()
            async with AfterturnArm.open(on.servers, logs, temporal_pids=on.temporal_pids) as arm:
                yield on, arm


async def rooms(most: int) -> list[dict[str, Any]]:
    measured, there = [], 0
    async with ours() as (on, arm), arm.working():
        await runs.load(on, arm, "first", rate=LOAD_RATE, seconds=5, burst=4)
        for count in (one for one in ROOMS if one <= max(most, ROOMS[0])):
            async with arm.reading() as connection:
                for statement in (_ROOMS, _MESSAGES, _CHUNKS):
                    await connection.execute(statement, there + 1, count, timeout=300)
                await connection.execute("analyze", timeout=300)
            there = count
            loaded = await runs.load(on, arm, f"g{count}", rate=LOAD_RATE, seconds=LOAD_SECONDS, burst=4)
            measured.append({"rooms": count, "p50": loaded.share(0.5), "p95": loaded.share(0.95)})
    return measured


async def workers() -> dict[str, Any]:
    async with ours() as (on, arm):
        async with arm.working():
            await asyncio.sleep(5)
            idle = psutil.Process(arm.roots[0]).memory_info().rss / _MEBIBYTE
        before = await _bytes_stored(on)
        one = await runs.backlog(on, arm, "one", rooms=60, each=20)
        stored = (await _bytes_stored(on) - before) / (60 * 20)
        async with arm.working():
            two = await runs.backlog(on, arm, "two", rooms=60, each=20)
    return {
        "idle_mebibytes": idle,
        "turns_a_second": {"1": one.turns_a_second, "2": two.turns_a_second},
        "cpu_seconds": {"1": one.spent.cpu_seconds, "2": two.spent.cpu_seconds},
        "postgres_bytes_a_turn": stored,
    }


async def _bytes_stored(on: Stage) -> int:
    connection = await asyncpg.connect(on.servers.database_url)
    try:
        return int(await connection.fetchval("select pg_database_size(current_database())"))
    finally:
        await connection.close()


def table_of(rows: list[dict[str, Any]]) -> Table:
    table = Table(*rows[0])
    for row in rows:
        table.add_row(*(f"{one:,.2f}" if isinstance(one, float) else f"{one:,}" for one in row.values()))
    return table


async def run(parts: list[str], most: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    console = Console()
    for part in parts:
        if part == "workers":
            found[part] = await workers()
            console.print_json(json.dumps(found[part]))
        else:
            found[part] = await (memories(most) if part == "memories" else rooms(most))
            console.print(table_of(found[part]))
    return found


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("parts", nargs="*", default=["memories", "rooms", "workers"])
    asked.add_argument("--most", type=int, default=1_000_000, help="the most memories, or rooms")
    asked.add_argument("--record", type=Path, help="a JSON file that keeps what is not measured anew")
    given = asked.parse_args()
    found = asyncio.run(run(given.parts, given.most))
    if given.record:
        kept = json.loads(given.record.read_text()) if given.record.exists() else {}
        given.record.write_text(json.dumps(kept | found, indent=1) + "\n")


if __name__ == "__main__":
    main()
