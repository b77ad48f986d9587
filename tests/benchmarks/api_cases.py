"""Sends 10,000 generated requests to the memory API on real servers.

`python -m tests.benchmarks.api_cases [CASES [SEED]]`
"""

import asyncio
import os
import random
import sys
from collections import Counter
from contextlib import ExitStack

import httpx

from services.domain.credentials import make_key
from services.embedded.postgres_server import PostgresServer
from services.embedded.redis_server import RedisServer
from services.embedded.temporal_server import TemporalServer
from services.postgres.api.keys import ApiKeys, Binding
from services.postgres.migrate import upgrade
from services.resources import open_resources
from services.worker.run import running_workers
from tests.support.api_cases import Thrower
from tests.support.main_job import settings_of
from tests.support.memory_api import MEM0_TOKEN, add_members, add_secrets, running_api
from tests.support.openai_server import OpenAIServer
from tests.support.servers import FAST_POSTGRES, running, short_folder

_CASES = 10_000


def main(cases: int, number: int) -> int:
    with ExitStack() as stack:
        folder = stack.enter_context(short_folder())
        redis = stack.enter_context(running(RedisServer(folder / "redis")))
        postgres = stack.enter_context(running(PostgresServer(folder / "postgres", settings=FAST_POSTGRES)))
        temporal = stack.enter_context(running(TemporalServer(folder / "temporal")))
        return asyncio.run(throw(redis.url, postgres.url, temporal.address, cases, number))


async def throw(redis_url: str, database_url: str, temporal_address: str, cases: int, number: int) -> int:
    await upgrade(database_url)
    async with OpenAIServer() as model:
        os.environ.update(settings_of(redis_url, database_url, temporal_address, model))
        os.environ["MEM0_WEBHOOK_SECRET"] = MEM0_TOKEN
        async with open_resources() as resources, running_workers(), running_api() as url:
            key = make_key()
            await ApiKeys(resources.database).add(
                key, name="cases", scopes=("admin",), binding=Binding(), expires_at=None
            )
            await add_members(resources.database)
            headers = {"Authorization": f"Bearer {key.key}"}
            async with httpx.AsyncClient(base_url=url, headers=headers, trust_env=False, timeout=30) as service:
                places = await add_secrets(resources, service)
                await service.post("/v1/backfills", json={"of": "companies"})
            thrown = await asyncio.to_thread(Thrower(url, key.key, number, places).throw, cases)
    by_status = Counter[str]()
    for name, count in thrown.statuses.items():
        by_status[name.rpartition(" ")[2]] += count
    told = ", ".join(f"{count} of {status}" for status, count in sorted(by_status.items()))
    print(f"{thrown.cases} cases in {thrown.seconds:.0f} s (seed {number}): {told}")  # noqa: T201
    print("never answered:", thrown.never_answered())  # noqa: T201
    print(f"{len(thrown.failures)} failures", *thrown.failures[:20], sep="\n\n")  # noqa: T201
    return 1 if thrown.failures else 0


if __name__ == "__main__":
    given = [int(one) for one in sys.argv[1:]]
    sys.exit(main(*given, *(_CASES, random.SystemRandom().randrange(2**32))[len(given) :]))
