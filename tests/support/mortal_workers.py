"""Workers of the hosted platform that are killed at their work: `python -m tests.support.mortal_workers SERVERS_JSON`.

Each job is done by a process of its own, forked from this one, which has imported everything: a line of JSON in, a line
out with the job's number and `done` or `died`. A job is a list of memories, saved a few at a time, each again and again
while trying again may help.
"""

import asyncio
import gc
import io
import json
import os
import random
import select
import sys
from typing import Any

import httpx

from services.domain.errors import TransientError
from services.domain.memories import owner_of
from services.llm_proxy.client import ModelClient
from services.mem0_store.platform import PlatformStore
from services.mem0_store.platform_client import PlatformClient
from services.mem0_store.platform_errors import refuse
from services.postgres.database import Database
from tests.support.mem0_server import API_KEY
from tests.support.mortal_steps import Boundaries, MortalDatabase, MortalTransport
from tests.support.platform_store import EMBEDDING_MODEL, Servers, said

AT_ONCE = 4
# Done once before any fork: most of what a first save costs need not be paid again by each process.
FIRST: dict[str, Any] = {
    "number": 0,
    "fatal": None,
    "closed_loops": 0.0,
    "answer_seconds": 30.0,
    "memories": [{"owner_type": "user", "owner_id": "first", "slug": "first", "content": "The first.", "day": 0}],
}


async def work(servers: Servers, job: dict[str, Any]) -> None:
    boundaries, chance = Boundaries(job["fatal"]), random.Random(job["number"])
    transport = MortalTransport(boundaries, chance, job["closed_loops"])
    seconds = job["answer_seconds"]
    async with (
        Database.open(servers.database_url, pool_size=AT_ONCE) as database,
        ModelClient.open(servers.model_url) as model,
        httpx.AsyncClient(transport=transport, event_hooks={"response": [refuse]}) as http,
    ):
        store = PlatformStore(
            PlatformClient(http, API_KEY, servers.mem0_url, seconds),
            MortalDatabase(database, boundaries),
            model,
            embedding_model=EMBEDDING_MODEL,
            answer_seconds=seconds,
            grace_seconds=0.0,
        )
        few = asyncio.Semaphore(AT_ONCE)
        await asyncio.gather(*(persist(store, few, memory) for memory in job["memories"]))


async def persist(store: PlatformStore, few: asyncio.Semaphore, memory: dict[str, Any]) -> None:
    owner = owner_of(memory["owner_type"], memory["owner_id"])
    async with few:
        while True:
            try:
                await store.save(owner, said(memory["slug"], memory["content"], day=memory["day"]))
            except TransientError as error:
                await asyncio.sleep(error.retry_after or 0.02)
            else:
                return


def begin(servers: Servers, job: dict[str, Any]) -> int:
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            asyncio.run(work(servers, job))
            code = 0
        finally:
            os._exit(code)
    return pid


def main() -> None:
    servers = Servers(**json.loads(sys.argv[1]))
    asyncio.run(work(servers, FIRST))
    gc.collect()
    gc.freeze()  # a collection would copy every page that the forked process shares with this one
    at_work: dict[int, int] = {}
    lines = io.FileIO(sys.stdin.fileno(), closefd=False)
    print("serving", flush=True)  # noqa: T201  the test waits for it
    is_open = True
    while is_open or at_work:
        if is_open and select.select([lines], [], [], 0.01)[0]:
            line = lines.readline()
            is_open = bool(line)
            if line:
                job = json.loads(line)
                at_work[begin(servers, job)] = job["number"]
        for pid in list(at_work):
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                outcome = "done" if status == 0 else "died" if os.WIFSIGNALED(status) else "failed"
                print(json.dumps({"number": at_work.pop(pid), "outcome": outcome}), flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
