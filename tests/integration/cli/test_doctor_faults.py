"""Faults of real servers that `doctor` finds, each with its cure."""

import asyncio
import time
from pathlib import Path

import asyncpg
import pytest
from afterturn_client.redis_connection import AnyRedis, open_redis

from services.cli.checks.check import Check
from services.cli.checks.postgres import check_postgres
from services.cli.checks.postgres_keeping import check_durability
from services.cli.checks.redis_room import check_redis_room
from services.cli.checks.temporal import check_temporal
from services.embedded.postgres_server import PostgresServer
from services.embedded.redis_server import RedisServer
from services.postgres.database import Database
from services.resources import Resources
from services.worker.run import running_workers
from tests.support.dropping_pooler import DroppingPooler
from tests.support.servers import short_folder
from tests.support.worker_versions import told as ordered


def failed(checks: list[Check]) -> dict[str, Check]:
    found = {check.name: check for check in checks if check.state == "failed"}
    assert all(check.cure for check in found.values())
    return found


async def test_a_postgres_that_does_not_wait_for_its_disk(resources: Resources) -> None:
    told = failed(await check_durability(resources.database))
    assert set(told) == {"Postgres: fsync", "Postgres: full_page_writes"}
    assert told["Postgres: fsync"].cure.startswith("set fsync = on in postgresql.conf")


async def test_somebody_in_between_who_drops_what_our_sessions_ask_for(
    postgres_server: PostgresServer, database_url: str
) -> None:
    """Poolers may be told to ignore parameters that they do not know; this server's own default is off."""
    with short_folder() as folder:
        async with DroppingPooler(folder, postgres_server.socket_folder, "synchronous_commit"):
            url = database_url.replace(str(postgres_server.socket_folder), str(folder))
            async with Database.open(url) as through_it:
                told = failed(await check_durability(through_it))
    assert "Postgres: synchronous_commit" in told


async def test_an_old_pgvector_and_too_few_connections(
    environment: None, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_POOL_SIZE", "400")
    connection = await asyncpg.connect(database_url)
    try:
        await connection.execute("update pg_extension set extversion = '0.7.4' where extname = 'vector'")
        async with Database.open(database_url) as database:
            told = failed(await check_postgres(database))
    finally:
        await connection.close()
    assert told["Postgres: pgvector"].detail == "0.7.4"
    assert "alter extension vector update" in told["Postgres: pgvector"].cure
    assert "takes 400" in told["Postgres: connections"].cure


async def test_a_redis_that_is_nearly_full_or_cannot_write(tmp_path: Path) -> None:
    with short_folder() as folder:
        async with RedisServer(folder / "redis") as server:
            redis = open_redis(server.url)
            try:
                assert failed(await check_redis_room(redis)) == {}
                used = int((await redis.info("memory"))["used_memory"])
                await redis.config_set("maxmemory", int(used * 1.1))
                await redis.config_set("maxclients", 60)
                gone = tmp_path / "gone"
                gone.mkdir()
                await redis.config_set("dir", str(gone))
                gone.rmdir()
                await redis.bgsave()
                told = failed(await until_a_write_has_failed(redis))
            finally:
                await redis.aclose()
    assert set(told) == {"Redis: writes", "Redis: memory", "Redis: connections"}


async def until_a_write_has_failed(redis: AnyRedis) -> list[Check]:
    async with asyncio.timeout(20):
        while True:
            checks = await check_redis_room(redis)
            if checks[0].state == "failed":
                return checks
            await asyncio.sleep(0.05)


async def test_workers_of_a_version_that_is_given_no_work(
    resources: Resources, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEMPORAL_DEPLOYMENT_NAME", "afterturn")
    monkeypatch.setenv("TEMPORAL_WORKER_BUILD_ID", "1.5.0")
    name = "Temporal: version of the workers"
    async with running_workers():
        sick = failed(await until_a_version_polls(resources))[name]
        assert "nobody is given work" in sick.detail
        cure = sick.cure.split("`")[1].removeprefix("temporal ")
        await ordered(f"{cure} --yes")
        async with asyncio.timeout(60):
            while name in failed(await check_temporal(resources.temporal)):
                await asyncio.sleep(0.1)


async def until_a_version_polls(resources: Resources) -> list[Check]:
    async with asyncio.timeout(60):
        while True:
            checks = await check_temporal(resources.temporal)
            if any("1.5.0" in check.detail for check in checks):
                return checks
            await asyncio.sleep(0.1)


async def test_a_temporal_whose_clock_is_another(resources: Resources) -> None:
    told = {check.name: check for check in await check_temporal(resources.temporal)}
    assert told["Temporal: clock"].state == "ok"
    late = {check.name: check for check in await check_temporal(resources.temporal, now=lambda: time.time() - 60)}
    assert late["Temporal: clock"].state == "failed"
    assert 30 < float(late["Temporal: clock"].detail.split()[0]) < 90
