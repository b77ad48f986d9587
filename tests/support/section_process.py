"""A process that reads and writes preferences: `section_process REDIS_URL DATABASE_URL SEED NAME`.

Every second one stores them as they are, and all compress what they find so.
When its standard input ends, and it has done enough, it writes what it did to its standard output, a line of JSON each.
"""

import asyncio
import json
import random
import sys
import time
from contextlib import suppress
from dataclasses import asdict
from typing import Any
from uuid import uuid4

from pydantic import JsonValue

from services.domain.errors import TransientError, VersionConflictError
from services.domain.memories import Owner, owner_of
from services.section_store.store import SectionStore
from tests.support.section_history import Did, Kind
from tests.support.section_stores import open_sections

AT_ONCE = 4
OWNERS = (owner_of("user", "ana"), owner_of("company", "acme"))
KEYS = ("theme", "language")
READS, WRITES, CHECKED = 0.6, 0.8, 0.92
_FILLER = " word" * 300
_NEVER = 10**9
# A history of less says little: on a slow machine it goes on for longer.
_HITS, _WRITES = 20, 40


async def run(redis_url: str, database_url: str, seed: str, name: str) -> None:
    lines = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    done: list[Did] = []
    packed: list[int] = []
    as_it_is: dict[str, Any] = {"section_compress_bytes": _NEVER} if int(name) % 2 else {}
    async with (
        open_sections(redis_url, database_url, answer_seconds=0.4, **as_it_is) as store,
        open_sections(redis_url, database_url, answer_seconds=0.4) as compressing,
    ):
        stop = asyncio.Event()
        working = [
            asyncio.create_task(work(store, random.Random(f"{seed} {name} {number}"), done, stop))
            for number in range(AT_ONCE)
        ]
        working.append(asyncio.create_task(pack(compressing, packed, stop)))
        print("working", flush=True)  # noqa: T201  the test waits for it
        await lines.read()
        while store.counts.all["hits"] < _HITS or _written(done) < _WRITES:
            await asyncio.sleep(0.05)
        stop.set()
        await asyncio.gather(*working)
        hits = store.counts.all["hits"]
    print(json.dumps({"hits": hits, "packed": sum(packed)}))  # noqa: T201
    for did in done:
        print(json.dumps(asdict(did)))  # noqa: T201
    sys.stdout.flush()


async def work(store: SectionStore, chance: random.Random, done: list[Did], stop: asyncio.Event) -> None:
    versions: dict[str, int] = {}
    while not stop.is_set():
        owner, key = chance.choice(OWNERS), chance.choice(KEYS)
        done.append(await act(store, owner, key, chance.random(), versions))
        await asyncio.sleep(chance.random() * 0.01)


async def pack(store: SectionStore, packed: list[int], stop: asyncio.Event) -> None:
    cursor = None
    while not stop.is_set():
        with suppress(TransientError):
            page = await store.pack(cursor)
            cursor = page.cursor
            packed.append(page.packed)
        await asyncio.sleep(0.005)


def _written(done: list[Did]) -> int:
    return sum(did.kind == "write" and did.acknowledged for did in done)


def tag_of(value: JsonValue) -> str:
    return str(value).partition(" ")[0]


async def act(store: SectionStore, owner: Owner, key: str, dice: float, versions: dict[str, int]) -> Did:
    kind: Kind = "read" if dice < READS else "write" if dice < CHECKED else "delete"
    named, tag, start = f"{owner} {key}", str(uuid4()), time.monotonic()
    version = None
    try:
        if kind == "read":
            found = await store.get_user_preference(owner, key)
            tag, version = (tag_of(found.value), found.version) if found else ("", 0)
            versions[named] = version
        elif kind == "write":
            wanted = versions.get(named) if dice >= WRITES else None
            version = (await store.set_user_preference(owner, key, tag + _FILLER, if_version=wanted)).version
        else:
            await store.delete(owner, "user_preferences", key)
    except VersionConflictError as error:
        # It did nothing, and saw what stands.
        versions[named] = error.version
        return Did("read", named, start, time.monotonic(), acknowledged=False)
    except TransientError:
        return Did(kind, named, start, float("inf"), tag=tag, acknowledged=False)
    return Did(kind, named, start, time.monotonic(), tag=tag, version=version)


if __name__ == "__main__":
    asyncio.run(run(*sys.argv[1:5]))
