"""Servers that are destroyed and restored, and the shell that does it by docs/backup.md."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import asyncpg

from services.embedded.ports import free_port
from services.embedded.postgres_server import PostgresServer
from services.embedded.redis_server import RedisServer
from services.postgres.migrate import upgrade
from tests.support.command_line import CommandLine
from tests.support.databases import administer
from tests.support.drill.pages import Shell, block

_PAGE = "backup.md"


@dataclass
class World:
    """One Redis of its own, and one database of a Postgres."""

    redis: RedisServer
    postgres: PostgresServer
    database: str
    database_url: str
    shell: Shell
    with_first_copy: Callable[[], Awaitable[None]] | None = None

    async def copy_redis(self) -> None:
        await self.shell.run(block(_PAGE, "Back up", "redis"))
        self.shell.variables["redis_at"] = self.shell.variables["at"]

    async def copy_postgres(self) -> None:
        await self.shell.run(block(_PAGE, "Back up", "postgres"))
        self.shell.variables["postgres_at"] = self.shell.variables["at"]

    async def write_down_who_was_forgotten(self) -> None:
        await self.shell.run(block(_PAGE, "Back up", "forgotten"))

    async def keep_aside_who_was_forgotten(self) -> None:
        await self.shell.run(block(_PAGE, "Restore", "forgotten"))

    async def destroy_redis(self) -> None:
        await self.redis.kill()
        await asyncio.to_thread(shutil.rmtree, self.redis.folder)

    async def destroy_postgres(self) -> None:
        await administer(self.postgres, f'drop database "{self.database}" with (force)')

    async def restore_redis(self) -> None:
        self.redis.folder.mkdir()
        self.shell.variables["at"] = self.shell.variables["redis_at"]
        port = str(free_port())
        await self.shell.run(block(_PAGE, "Restore", "redis").replace("6400", port))
        await self.redis.stop()
        await self.redis.start()

    async def restore_postgres(self) -> None:
        self.shell.variables["at"] = self.shell.variables["postgres_at"]
        await self.shell.run(block(_PAGE, "Restore", "postgres"))

    async def afterwards(self, *, redis_was_restored: bool, more: str = "") -> str:
        """Run what the page says to run in the end; answer what `afterturn restored` said."""
        self.shell.variables["at"] = self.shell.variables["redis_at"]
        script = block(_PAGE, "Restore", "afterwards").rstrip()
        if not redis_was_restored:
            script = script.replace('--redis-copied-at "$at" ', "")
        await self.shell.run(f"{script} --json {more}")
        return self.shell.answers[-1]


class WorldWithArchivedWal(World):
    """Postgres is a server of its own: copied whole at one moment, and its WAL all the time."""

    async def copy_postgres(self) -> None:
        await self.shell.run(block(_PAGE, "Back up", "base_backup"))
        self.shell.variables["postgres_at"] = self.shell.variables["at"]

    async def destroy_postgres(self) -> None:
        await administer(self.postgres, "select pg_switch_wal()")
        async with asyncio.timeout(30):
            while await self._is_behind():
                await asyncio.sleep(0.1)
        await self.postgres.kill()
        await asyncio.to_thread(shutil.rmtree, self.postgres.cluster)

    async def restore_postgres(self) -> None:
        self.shell.variables["at"] = self.shell.variables["postgres_at"]
        await self.shell.run(block(_PAGE, "Restore", "base_backup"))
        if account := self.postgres.user():
            for path in (self.postgres.cluster, *self.postgres.cluster.rglob("*")):
                shutil.chown(path, account)
        await self.postgres.stop()
        await self.postgres.start()

    async def _is_behind(self) -> bool:
        connection = await asyncpg.connect(self.postgres.url_of("postgres"))
        try:
            last = "pg_walfile_name(pg_current_wal_lsn() - 1)"
            asked = f"select coalesce(last_archived_wal, '') < {last} from pg_stat_archiver"  # noqa: S608
            return bool(await connection.fetchval(asked))
        finally:
            await connection.close()


@asynccontextmanager
async def open_world_with_archived_wal(folder: Path) -> AsyncIterator[World]:
    wal = folder / "postgres" / "wal"
    archiving = {
        "archive_mode": "on",
        "archive_command": f"mkdir -p {wal} && cp %p {wal}/%f",
        "fsync": "off",
        "recovery_target_timeline": "latest",
    }
    async with PostgresServer(folder / "postgres", settings=archiving) as postgres:
        for role in ("afterturn_system", "afterturn_tenant"):
            await administer(postgres, f"create role {role} nologin")
        async with open_world(folder, postgres) as opened:
            opened.shell.variables |= {"POSTGRES_FOLDER": str(postgres.cluster), "WAL_ARCHIVE": str(wal)}
            yield WorldWithArchivedWal(opened.redis, postgres, opened.database, opened.database_url, opened.shell)


@asynccontextmanager
async def open_world(folder: Path, postgres: PostgresServer) -> AsyncIterator[World]:
    redis = RedisServer(folder / "redis")
    name = f"drill_{uuid4().hex[:12]}"
    superusers_url = postgres.url_of(name)
    variables = {
        "REDIS_URL": redis.url,
        "SUPERUSER_URL": superusers_url,
        "SERVER_URL": postgres.url_of("postgres"),
        "DATABASE": name,
        "OWNER": name,
        "BACKUPS": str(folder / "backups"),
        "ELSEWHERE": str(folder),
        "REDIS_FOLDER": str(redis.folder),
        "at": "0",
    }
    (folder / "backups").mkdir()
    async with redis, _database(postgres, name):
        database_url = superusers_url.replace("postgres@", f"{name}@", 1)
        await upgrade(database_url)
        variables["LOGIN_URL"] = database_url
        yield World(redis, postgres, name, database_url, Shell(CommandLine(folder), variables))


@asynccontextmanager
async def _database(postgres: PostgresServer, name: str) -> AsyncIterator[None]:
    """Make a login and its database as compose/postgres/afterturn.sh does: without rights of its own."""
    await administer(postgres, f'create role "{name}" login nosuperuser nobypassrls nocreaterole nocreatedb')
    await administer(postgres, f'grant afterturn_system, afterturn_tenant to "{name}" with inherit false')
    await administer(postgres, f'create database "{name}" owner "{name}"')
    connection = await asyncpg.connect(postgres.url_of(name))
    try:
        await connection.execute("create extension vector")
    finally:
        await connection.close()
    try:
        yield
    finally:
        await administer(postgres, f'drop database if exists "{name}" with (force)')
        await administer(postgres, f'drop role "{name}"')
