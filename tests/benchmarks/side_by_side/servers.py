"""The servers that both sides use, and what Temporal counts."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import httpx

from services.embedded.ports import LOOPBACK, free_port
from services.embedded.postgres_server import PostgresServer
from services.embedded.redis_server import RedisServer
from services.embedded.temporal_server import TemporalServer
from services.postgres.migrate import upgrade
from tests.benchmarks.side_by_side import stub_model
from tests.benchmarks.side_by_side.arms import Servers
from tests.benchmarks.side_by_side.celery_arm import make_tables
from tests.benchmarks.side_by_side.stub_model import StubModel
from tests.support.temporal_on_postgres import TemporalOnPostgres, temporal_on_postgres

_CELERY_DATABASE = "celery"
_ACTIONS = re.compile(r"^action(?:_total)?(?:\{[^}]*\})? (\S+)$", re.MULTILINE)


class MeasuredTemporal(TemporalServer):
    """Tells its own metrics."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.metrics_port = free_port()

    def command(self) -> list[str]:
        return [*super().command(), "--metrics-port", str(self.metrics_port)]


@dataclass(frozen=True, slots=True)
class Stage:
    servers: Servers
    temporal: MeasuredTemporal | TemporalOnPostgres
    model: StubModel
    stores: tuple[int, ...]

    @property
    def temporal_pids(self) -> list[int]:
        postgres = self.temporal.postgres.pid if isinstance(self.temporal, TemporalOnPostgres) else None
        return [pid for pid in (self.temporal.pid, postgres) if pid]

    async def actions(self) -> float:
        """Count what Temporal Cloud would bill."""
        async with httpx.AsyncClient(trust_env=False) as http:
            told = (await http.get(f"http://{LOOPBACK}:{self.temporal.metrics_port}/metrics")).text
        return sum(float(count) for count in _ACTIONS.findall(told))


@asynccontextmanager
async def _temporal(folder: Path, *, on_postgres: bool) -> AsyncIterator[MeasuredTemporal | TemporalOnPostgres]:
    if on_postgres:
        async with temporal_on_postgres(folder) as server:
            yield server
    else:
        async with MeasuredTemporal(folder) as dev_server:
            yield dev_server


@asynccontextmanager
async def stage(
    folder: Path, *, model_seconds: float, linger_seconds: float, on_postgres: bool = False
) -> AsyncIterator[Stage]:
    """Run what both sides use. Postgres and Redis wait for the disk, as they must in production."""
    async with (
        RedisServer(folder / "redis") as redis,
        PostgresServer(folder / "postgres", database="afterturn") as postgres,
        _temporal(folder / "temporal", on_postgres=on_postgres) as temporal,
        stub_model.running(model_seconds) as model,
    ):
        await upgrade(postgres.url)
        connection = await asyncpg.connect(postgres.url)
        await connection.execute(f"create database {_CELERY_DATABASE}")
        await connection.close()
        await make_tables(postgres.url_of(_CELERY_DATABASE))
        servers = Servers(
            redis_url=redis.url,
            database_url=postgres.url,
            celery_database_url=postgres.url_of(_CELERY_DATABASE),
            temporal_address=temporal.address,
            model_url=model.url,
            settings={
                "REDIS_URL": redis.url,
                "DATABASE_URL": postgres.url,
                "TEMPORAL_ADDRESS": temporal.address,
                "SUMMARY_MODEL": "chat-model",
                "EMBEDDING_MODEL": "embedding-model",
                "MEM0_BACKEND": "open_source",
                "LINGER_SECONDS": str(linger_seconds),
                "MAX_CONCURRENT_MODEL_CALLS": "128",
                "DATABASE_POOL_SIZE": "20",
                "SHUTDOWN_SECONDS": "2",
            },
        )
        stores = tuple(pid for pid in (redis.pid, postgres.pid) if pid)
        yield Stage(servers, temporal, model, stores)
