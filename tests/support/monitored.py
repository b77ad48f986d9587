"""The whole system as processes, with a real Prometheus that scrapes all of it; a model answers from a script."""

import asyncio
import os
import random
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from afterturn_client.rooms import buffer_key
from redis.asyncio import Redis
from temporalio.client import Client

from services.domain.credentials import make_key
from services.embedded.ports import LOOPBACK, free_port
from services.embedded.postgres_server import PostgresServer
from services.embedded.redis_server import RedisServer
from services.embedded.temporal_server import NAMESPACE, TemporalServer
from services.postgres.api.keys import ApiKeys, Binding
from services.postgres.database import Database
from services.postgres.migrate import upgrade
from tests.support.main_job import settings_of
from tests.support.openai_server import OpenAIServer, Slow, Status
from tests.support.prometheus import Prometheus
from tests.support.servers import FAST_POSTGRES
from workflows.names import RECONCILE_MEM0_SCHEDULE

ROOT = Path(__file__).parents[2]
_PROXY_KEY = "a-key-of-this-test"


class MeasuredTemporal(TemporalServer):
    """Tells Prometheus its figures, too."""

    metrics_port = 0

    def command(self) -> list[str]:
        return [*super().command(), "--metrics-port", str(self.metrics_port)]

    async def prepare(self) -> None:
        await super().prepare()
        self.metrics_port = free_port()


@dataclass(frozen=True)
class Monitored:
    api: httpx.AsyncClient
    prometheus: Prometheus
    model: OpenAIServer
    redis_url: str
    temporal_address: str

    async def talk(self, seconds: float, *, random_seed: int = 1) -> None:
        """Let people talk in a dozen rooms, with a model that fails for a while; at the end one sends nonsense."""
        temporal = await Client.connect(self.temporal_address)
        await temporal.get_schedule_handle(RECONCILE_MEM0_SCHEDULE).trigger()
        chance = random.Random(random_seed)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._one_outage(seconds))
            for number in range(12):
                group.create_task(self._one_person(number, seconds, chance))
        async with Redis.from_url(self.redis_url) as redis:
            await redis.rpush(buffer_key("user:p0"), b"no message")

    async def asked(self, path: str, **params: Any) -> Any:
        """Give what Prometheus' API answers."""
        async with httpx.AsyncClient(base_url=self.prometheus.url, timeout=30, trust_env=False) as http:
            answer = await http.get(f"/api/v1/{path}", params=params)
        assert answer.status_code == 200, answer.text
        return answer.json()["data"]

    async def _one_outage(self, seconds: float) -> None:
        await asyncio.sleep(seconds / 3)
        self.model.fault = Status(503, retry_after="1")
        await asyncio.sleep(seconds / 6)
        self.model.fault = Slow(0.2)

    async def _one_person(self, number: int, seconds: float, chance: random.Random) -> None:
        room = f"user:p{number}"
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while True:
                    said = {"messages": [{"role": "user", "content": "I moved to Lima.", "user_id": f"p{number}"}]}
                    await self.api.post(f"/v1/rooms/{room}/messages", json=said)
                    await self.api.post("/v1/context", json={"room_id": room, "query": "Where do I live?"})
                    await self.api.get(f"/v1/rooms/{room}/messages/missing")
                    await asyncio.sleep(chance.uniform(0.2, 3))


@asynccontextmanager
async def monitored(folder: Path) -> AsyncIterator[Monitored]:
    async with AsyncExitStack() as stack:
        redis = await stack.enter_async_context(RedisServer(folder / "redis"))
        postgres = await stack.enter_async_context(PostgresServer(folder / "postgres", settings=FAST_POSTGRES))
        temporal = await stack.enter_async_context(MeasuredTemporal(folder / "temporal"))
        model = await stack.enter_async_context(OpenAIServer(answer=lambda _: "The user moved to Lima."))
        await upgrade(postgres.url)
        key, ports = await _a_key(postgres.url), {name: free_port() for name in ("proxy", "api", "worker")}
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("TEMPORAL_")},
            **settings_of(redis.url, postgres.url, temporal.address, model),
            "TEMPORAL_NAMESPACE": NAMESPACE,
            "LLM_PROXY_URL": f"http://{LOOPBACK}:{ports['proxy']}",
            "LLM_PROXY_PORT": str(ports["proxy"]),
            "LLM_PROXY_API_KEY": _PROXY_KEY,
            "OPENAI_COMPATIBLE_URL": model.url,
            "MEMORY_API_PORT": str(ports["api"]),
            "WORKER_METRICS": f"{LOOPBACK}:{ports['worker']}",
        }
        for program in ("llm_proxy", "worker", "memory_api"):
            await stack.enter_async_context(_process(f"services.{program}", environment, folder))
        api = await stack.enter_async_context(
            httpx.AsyncClient(
                base_url=f"http://{LOOPBACK}:{ports['api']}",
                headers={"Authorization": f"Bearer {key}"},
                timeout=30,
                trust_env=False,
            )
        )
        await _until_ready(api)
        targets = {
            "memory_api": [f"{LOOPBACK}:{ports['api']}"],
            "llm_proxy": [f"{LOOPBACK}:{ports['proxy']}"],
            "worker": [f"{LOOPBACK}:{ports['worker']}"],
            "temporal": [f"{LOOPBACK}:{temporal.metrics_port}"],
        }
        keys = {"memory_api": key, "llm_proxy": _PROXY_KEY}
        prometheus = Prometheus(folder / "prometheus", ROOT / "compose" / "prometheus", targets, keys)
        await stack.enter_async_context(prometheus)
        yield Monitored(api, prometheus, model, redis.url, temporal.address)


async def _a_key(database_url: str) -> str:
    key = make_key()
    async with Database.open(database_url, pool_size=1) as database:
        await ApiKeys(database).add(key, name="p", scopes=("admin",), binding=Binding(), expires_at=None)
    return key.key


@asynccontextmanager
async def _process(module: str, environment: Mapping[str, str], folder: Path) -> AsyncIterator[None]:
    with (folder / f"{module}.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", module, cwd=ROOT, env=environment, stdout=log, stderr=log
        )
        try:
            yield
        finally:
            with suppress(ProcessLookupError):
                process.terminate()
            await process.wait()


async def _until_ready(api: httpx.AsyncClient) -> None:
    async with asyncio.timeout(60):
        while True:
            with suppress(httpx.HTTPError):
                if (await api.get("/ready")).is_success:
                    return
            await asyncio.sleep(0.1)
