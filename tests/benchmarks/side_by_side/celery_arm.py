"""The side that is replaced."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal
from uuid import uuid4

import asyncpg
from afterturn_client.redis_connection import AnyRedis, open_redis
from celery import Celery

from tests.benchmarks.side_by_side.arms import Arm, Outcome, Servers
from tests.benchmarks.side_by_side.talk import Turn

Taking = Literal["delete", "rename"]
_APP = "tests.benchmarks.side_by_side.celery_app"
_TABLES = """
create extension if not exists vector;
create table messages (
    id text primary key, number bigint generated always as identity, room_id text not null, role text not null,
    content text not null, user_id text not null, archived_at timestamptz not null default now(),
    digested_at timestamptz
);
create index on messages (room_id, number);
create table summaries (
    id uuid primary key, room_id text not null, message_ids text[] not null, content text not null,
    embedding vector(384) not null, created_at timestamptz not null default now()
);
create table memories (
    id uuid primary key, user_id text not null, slug text not null, content text not null,
    embedding vector(384) not null, created_at timestamptz not null default now(), unique (user_id, slug)
);
"""


async def make_tables(database_url: str) -> None:
    connection = await asyncpg.connect(database_url)
    try:
        await connection.execute(_TABLES)
    finally:
        await connection.close()


class CeleryArm(Arm):
    def __init__(
        self, servers: Servers, logs: Path, redis: AnyRedis, *, processes: int, taking: Taking, linger_seconds: float
    ) -> None:
        super().__init__(servers, logs)
        self.name = f"Celery, {processes} processes" + (", rename" if taking == "rename" else "")
        self._redis = redis
        self._processes = processes
        self._taking = taking
        self._linger_seconds = linger_seconds
        self._app = Celery("side_by_side", broker=servers.redis_url, set_as_current=False)
        self._app.conf.update(task_ignore_result=True, task_serializer="json")

    @classmethod
    @asynccontextmanager
    async def open(cls, servers: Servers, logs: Path, **options: Any) -> AsyncIterator["CeleryArm"]:
        redis = open_redis(servers.redis_url, answer_seconds=30)
        arm = cls(servers, logs, redis, **options)
        try:
            yield arm
        finally:
            await arm.stop_workers()
            await redis.aclose()
            arm._app.close()

    @property
    def database_url(self) -> str:
        return self.servers.celery_database_url

    def worker_command(self) -> list[str]:
        quiet = ["--without-gossip", "--without-mingle", "--without-heartbeat", "--loglevel", "error"]
        return ["celery", "-A", _APP, "worker", "-O", "fair", "--concurrency", str(self._processes), *quiet]

    def environment(self) -> dict[str, str]:
        return {
            "REDIS_URL": self.servers.redis_url,
            "CELERY_DATABASE_URL": self.database_url,
            "MODEL_URL": self.servers.model_url,
            "TAKING": self._taking,
            "VISIBILITY_SECONDS": "30",
        }

    async def record(self, turn: Turn) -> None:
        token, room = uuid4().hex, f"celery:{turn.room_id}"
        entries = [
            json.dumps({"id": f"{turn.id}:{role}", "role": role, "content": content, "user_id": turn.user_id})
            for role, content in (("user", turn.user), ("assistant", turn.assistant))
        ]
        async with self._redis.pipeline(transaction=True) as both:
            both.rpush(f"{room}:messages", *entries)
            both.set(f"{room}:newest", token, ex=86_400)
            await both.execute()
        self._app.send_task("remember", (turn.room_id, token), countdown=self._linger_seconds)

    async def drop_backlog(self) -> None:
        await self._redis.delete("celery", "unacked", "unacked_index")

    async def digested(self, rooms: str) -> dict[str, float]:
        async with self.reading() as connection:
            rows = await connection.fetch(
                "select id, extract(epoch from digested_at)::float8 as at from messages "
                "where room_id like $1 || '%' and role = 'user' and digested_at is not null",
                rooms,
            )
        return {row["id"].removesuffix(":user"): row["at"] for row in rows}

    async def count(self, rooms: str) -> int:
        async with self.reading() as connection:
            counted = await connection.fetchval(
                "select count(*) / 2 from messages where room_id like $1 || '%' and digested_at is not null", rooms
            )
        return int(counted)

    async def outcome(self, rooms: str, turns: int) -> Outcome:
        async with self.reading() as connection:
            [(archived, waiting)] = await connection.fetch(
                "select count(*), count(*) filter (where digested_at is null) from messages "
                "where room_id like $1 || '%'",
                rooms,
            )
            doubled = await connection.fetchval(
                "select count(*) from (select unnest(message_ids) from summaries where room_id like $1 || '%' "
                "group by 1 having count(*) > 1) as twice",
                rooms,
            )
        stranded = await self.stranded(rooms)
        return Outcome(2 * turns - archived - stranded, stranded, waiting, doubled)
