"""The design that Afterturn replaces, as a careful team writes it: a Celery task takes a room's buffer, and remembers.

    celery -A tests.benchmarks.side_by_side.celery_app worker

Every turn is pushed on the room's list, and a task is sent with a countdown; a task that is not the room's newest
leaves the work to that one. A task that finds the room quiet, or full, takes the list, archives it, asks the model for
a summary, for the memories and for their embeddings, and saves those. Tasks are acknowledged late, so that those of a
killed worker come back, and are tried again with a growing, random pause. Messages have ids, and a repeated one is left
out. Each task runs its own event loop, so it opens its own HTTP client; Postgres is spoken to by one connection for
each process.

`TAKING` is how the list is taken: `delete` reads and deletes it in one transaction of Redis, the usual way; `rename`
moves it under the task's own name first, where a task that comes back finds it again.
"""

import asyncio
import json
import os
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import httpx
import psycopg
import redis
from celery import Celery, Task
from celery.signals import worker_process_init

from services.domain.extraction.answers import SCHEMA

BATCH_MESSAGES = 50
RETRIES = 10

app = Celery("side_by_side", broker=os.environ["REDIS_URL"])
app.conf.update(
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    task_ignore_result=True,
    task_serializer="json",
    worker_prefetch_multiplier=int(os.environ.get("PREFETCH", "4")),
    worker_send_task_events=False,
    worker_hijack_root_logger=False,
    worker_cancel_long_running_tasks_on_connection_loss=False,
    broker_transport_options={"visibility_timeout": int(os.environ.get("VISIBILITY_SECONDS", "60"))},
    broker_connection_retry_on_startup=True,
)


class Clients:
    """What a worker process keeps between its tasks; opened after the fork."""

    redis: Any  # its annotations cannot tell bytes from text
    postgres: psycopg.Connection[Any]


@worker_process_init.connect  # type: ignore[untyped-decorator]
def open_clients(**_: object) -> None:
    Clients.redis = redis.Redis.from_url(os.environ["REDIS_URL"])
    Clients.postgres = psycopg.connect(os.environ["CELERY_DATABASE_URL"], autocommit=True)


def newest_key(room_id: str) -> str:
    return f"celery:{room_id}:newest"


def buffer_key(room_id: str) -> str:
    return f"celery:{room_id}:messages"


@app.task(  # type: ignore[untyped-decorator]
    bind=True,
    name="remember",
    autoretry_for=(httpx.HTTPError, psycopg.OperationalError, redis.ConnectionError),
    retry_backoff=True,
    retry_backoff_max=60,
    retry_jitter=True,
    max_retries=RETRIES,
)
def remember(task: Task, room_id: str, token: str) -> None:
    entries = _taken(room_id, token, str(task.request.id))
    if not entries:
        return
    archived = _archive(room_id, [json.loads(entry) for entry in entries])
    if archived:
        answers = asyncio.run(_ask(archived))
        _save(room_id, archived, *answers)
    Clients.redis.delete(_mine(room_id, str(task.request.id)))


def _mine(room_id: str, task_id: str) -> str:
    return f"celery:{room_id}:taken:{task_id}"


def _taken(room_id: str, token: str, task_id: str) -> list[bytes]:
    """Take the room's list if it is quiet or full."""
    renames, mine = os.environ.get("TAKING") == "rename", _mine(room_id, task_id)
    left: list[bytes] = Clients.redis.lrange(mine, 0, -1) if renames else []
    if left:
        return left
    key = buffer_key(room_id)
    if Clients.redis.get(newest_key(room_id)) != token.encode() and Clients.redis.llen(key) < BATCH_MESSAGES:
        return []
    with Clients.redis.pipeline(transaction=True) as both:
        if renames:
            if not Clients.redis.exists(key):
                return []
            both.rename(key, mine).lrange(mine, 0, -1)
        else:
            both.lrange(key, 0, -1).delete(key)
        try:
            answered: list[list[bytes]] = both.execute()
        except redis.ResponseError:  # another task was faster
            return []
    return answered[1] if renames else answered[0]


def _archive(room_id: str, messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Insert what is not there yet; answer what has no summary yet."""
    with Clients.postgres.transaction(), Clients.postgres.cursor() as cursor:
        cursor.executemany(
            "insert into messages (id, room_id, role, content, user_id) values (%s, %s, %s, %s, %s) "
            "on conflict do nothing",
            [(one["id"], room_id, one["role"], one["content"], one["user_id"]) for one in messages],
        )
        cursor.execute(
            "select id from messages where id = any(%s) and digested_at is null", [[one["id"] for one in messages]]
        )
        lacking = {row[0] for row in cursor.fetchall()}
    return [one for one in messages if one["id"] in lacking]


async def _ask(messages: list[dict[str, Any]]) -> tuple[str, list[dict[str, Any]], list[list[float]]]:
    lines = "\n".join(f"{one['role']}: {one['content']}" for one in messages)
    numbered = "\n".join(f"{place}. {line}" for place, line in enumerate(lines.splitlines(), start=1))
    async with httpx.AsyncClient(base_url=os.environ["MODEL_URL"], timeout=60, trust_env=False) as http:
        summary, said = await asyncio.gather(
            _complete(http, f"Summarise.\n<conversation>\n{lines}\n</conversation>"),
            _complete(http, f"Which facts?\n<conversation>\n{numbered}\n</conversation>", json_schema=SCHEMA),
        )
        memories = json.loads(said)["memories"]
        request = {"model": "embedding-model", "input": [summary, *(one["text"] for one in memories)]}
        answer = (await http.post("/v1/embeddings", json=request)).raise_for_status()
    return summary, memories, [one["embedding"] for one in sorted(answer.json()["data"], key=lambda one: one["index"])]


async def _complete(http: httpx.AsyncClient, text: str, json_schema: dict[str, Any] | None = None) -> str:
    request: dict[str, Any] = {"model": "chat-model", "messages": [{"role": "user", "content": text}]}
    if json_schema:
        shape = {"name": "answer", "schema": json_schema}
        request["response_format"] = {"type": "json_schema", "json_schema": shape}
    answer = (await http.post("/v1/chat/completions", json=request)).raise_for_status()
    return str(answer.json()["choices"][0]["message"]["content"])


def _save(
    room_id: str,
    messages: list[dict[str, Any]],
    summary: str,
    memories: list[dict[str, Any]],
    vectors: list[list[float]],
) -> None:
    ids = [one["id"] for one in messages]
    with Clients.postgres.transaction(), Clients.postgres.cursor() as cursor:
        cursor.execute(
            "insert into summaries (id, room_id, message_ids, content, embedding) values (%s, %s, %s, %s, %s::vector)",
            (uuid4(), room_id, ids, summary, str(vectors[0])),
        )
        cursor.executemany(
            "insert into memories (id, user_id, slug, content, embedding) values (%s, %s, %s, %s, %s::vector) "
            "on conflict (user_id, slug) do update set content = excluded.content, embedding = excluded.embedding",
            [
                (uuid4(), messages[0]["user_id"], one["slug"], one["text"], str(vector))
                for one, vector in zip(memories, vectors[1:], strict=True)
            ],
        )
        cursor.execute(
            "update messages set digested_at = %s where id = any(%s) and digested_at is null", (datetime.now(UTC), ids)
        )
