"""Redis and Postgres come back from copies of different moments, by the commands of docs/backup.md.

Temporal is lost, or goes on as it is, or comes back from a copy, too; Mem0 is the library, or the platform, which is
never restored.
"""

import asyncio
import itertools
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from services.embedded.postgres_server import PostgresServer
from services.embedded.temporal_server import NAMESPACE, TemporalServer
from tests.support.drill.drill import FINDINGS, Moments, Plan, count, live, lose_and_restore
from tests.support.drill.world import World, open_world, open_world_with_archived_wal
from tests.support.main_job import settings_of
from tests.support.mem0_server import API_KEY, Mem0Server
from tests.support.namespaces import open_namespace
from tests.support.openai_server import OpenAIServer
from tests.support.remembering import Remembering
from tests.support.servers import short_folder

LONGER = 3.0
# It waits for a dozen things, each of them for a minute or two where the machine is slow.
pytestmark = pytest.mark.timeout(600)


@pytest.fixture
async def world(
    monkeypatch: pytest.MonkeyPatch,
    postgres_server: PostgresServer,
    _migrated: None,
    temporal_address: str,
    temporal_namespace: str,
    model: OpenAIServer,
) -> AsyncIterator[World]:
    model.answer = Remembering(FINDINGS)
    with short_folder() as folder:
        async with open_world(folder, postgres_server) as opened:
            _set(monkeypatch, opened, temporal_address, temporal_namespace, model)
            yield opened


def _set(
    monkeypatch: pytest.MonkeyPatch, world: World, temporal_address: str, temporal_namespace: str, model: OpenAIServer
) -> None:
    told = settings_of(world.redis.url, world.database_url, temporal_address, model)
    for name, value in {**told, "TEMPORAL_NAMESPACE": temporal_namespace}.items():
        monkeypatch.setenv(name, value)


@asynccontextmanager
async def platform(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Mem0Server]:
    async with Mem0Server() as server:
        told = {"MEM0_BACKEND": "platform", "MEM0_API_KEY": API_KEY, "MEM0_HOST": server.url}
        for name, value in {**told, "MEM0_GRACE_SECONDS": "0.5"}.items():
            monkeypatch.setenv(name, value)
        yield server


@pytest.fixture
async def another_namespace(temporal_address: str) -> AsyncIterator[str]:
    """Give a Temporal that knows nothing."""
    async with open_namespace(temporal_address) as name:
        yield name


@dataclass
class CopiedTemporal:
    """A Temporal of its own, whose file is copied with the first of the other copies."""

    server: TemporalServer
    copy: Path

    async def copy_now(self) -> None:
        await self.server.stop()
        await asyncio.to_thread(shutil.copytree, self.server.folder, self.copy)
        await self.server.start()

    async def restore(self) -> None:
        await self.server.kill()
        await asyncio.to_thread(shutil.rmtree, self.server.folder)
        await asyncio.to_thread(shutil.copytree, self.copy, self.server.folder)
        await self.server.stop()
        await self.server.start()


@asynccontextmanager
async def temporal_with_copies(monkeypatch: pytest.MonkeyPatch, folder: Path) -> AsyncIterator[CopiedTemporal]:
    async with TemporalServer(folder / "temporal") as server:
        monkeypatch.setenv("TEMPORAL_ADDRESS", server.address)
        monkeypatch.setenv("TEMPORAL_NAMESPACE", NAMESPACE)
        yield CopiedTemporal(server, folder / "temporal-copy")


@pytest.mark.chaos
async def test_redis_older_than_postgres_and_temporal_lost(
    world: World, monkeypatch: pytest.MonkeyPatch, another_namespace: str
) -> None:
    plan, moments = Plan("redis"), Moments()
    async with platform(monkeypatch) as mem0:
        await live(world, plan, moments)
        with pytest.raises(AssertionError, match="row-level security"):
            await world.shell.run('pg_dump --file "$BACKUPS/by-our-login" "$LOGIN_URL"')
        monkeypatch.setenv("TEMPORAL_NAMESPACE", another_namespace)
        told = await lose_and_restore(world, plan, moments, more="--drop-orphans")
        assert told["archived_entries"] >= 3
        assert told["forgotten_entries"] >= 1
        assert told["temporary_values"] == 1
        # Nobody but the file knew of it.
        assert len(told["forgetting"]) == 1
        assert told["mem0_orphans"] == 1
        await count(world, plan, moments, mem0=mem0)


@pytest.mark.proof
@pytest.mark.chaos
@pytest.mark.parametrize(
    ("first", "back_end", "temporal"),
    [*itertools.product(("redis", "postgres"), ("open_source", "platform"), ("lost", "kept", "older"))],
)
async def test_every_combination(
    world: World, monkeypatch: pytest.MonkeyPatch, another_namespace: str, first: str, back_end: str, temporal: str
) -> None:
    plan, moments = Plan("redis" if first == "redis" else "postgres", seconds=LONGER), Moments()
    async with (
        platform(monkeypatch) if back_end == "platform" else _nothing() as mem0,
        temporal_with_copies(monkeypatch, world.redis.folder.parent) if temporal == "older" else _nothing() as copied,
    ):
        if copied:
            world.with_first_copy = copied.copy_now
        await live(world, plan, moments)
        if temporal == "lost":
            monkeypatch.setenv("TEMPORAL_NAMESPACE", another_namespace)
        if copied:
            await copied.restore()
        told = await lose_and_restore(world, plan, moments, more="--drop-orphans")
        if temporal == "kept":
            assert "forget:user:late" in told["forgetting"]
            assert told["look_at"] == ["load-user-memories:ben"]
        await count(world, plan, moments, mem0=mem0)


@pytest.mark.proof
@pytest.mark.chaos
@pytest.mark.parametrize("lost", ["redis", "postgres"])
async def test_one_of_the_two_is_lost(world: World, lost: str) -> None:
    plan, moments = Plan("redis", ("redis",) if lost == "redis" else ("postgres",), LONGER), Moments()
    await live(world, plan, moments)
    await lose_and_restore(world, plan, moments)
    await count(world, plan, moments, mem0=None)


@pytest.mark.proof
@pytest.mark.chaos
async def test_postgres_comes_back_to_its_last_second(
    monkeypatch: pytest.MonkeyPatch, temporal_address: str, temporal_namespace: str, model: OpenAIServer
) -> None:
    """From a base backup and archived WAL, beside a Redis that lives: then nothing at all is lost."""
    model.answer = Remembering(FINDINGS)
    plan, moments = Plan("postgres", ("postgres",), LONGER, nothing_is_lost=True), Moments()
    with short_folder() as folder:
        async with open_world_with_archived_wal(folder) as world:
            _set(monkeypatch, world, temporal_address, temporal_namespace, model)
            await live(world, plan, moments)
            told = await lose_and_restore(world, plan, moments)
            assert told["forgetting"] == []
            await count(world, plan, moments, mem0=None)


@asynccontextmanager
async def _nothing() -> AsyncIterator[None]:
    yield None
