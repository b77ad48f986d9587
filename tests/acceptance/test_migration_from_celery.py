"""The commands and the Python of docs/migration_from_celery.md, on what a Celery system leaves behind."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest
from afterturn_client.memory_client import MemoryClient
from afterturn_client.messages import Message
from afterturn_client.rooms import buffer_key
from redis.asyncio import Redis

from services.embedded.redis_server import RedisServer
from services.mem0_store.quiet_import import before_mem0
from services.resources import Resources
from tests.support.command_line import ROOT, CommandLine
from tests.support.drill.pages import Shell, block
from tests.support.drill.talk import sweep
from tests.support.mem0_server import API_KEY, Mem0Server
from tests.support.memory_api import StartApi, start_api
from tests.support.rooms import until_digested
from tests.support.servers import short_folder

__all__ = ["start_api"]

PAGE = "migration_from_celery.md"
BEGAN = datetime(2026, 3, 2, 9, tzinfo=UTC)


@pytest.fixture
async def old_redis() -> AsyncIterator[RedisServer]:
    with short_folder() as folder:
        async with RedisServer(folder / "redis") as server:
            yield server


async def add_rows(database_url: str, room_id: str, *contents: str, first: int = 1) -> None:
    """Add rows as such a system has them, alternately a person's and the assistant's."""
    connection = await asyncpg.connect(database_url)
    try:
        await connection.execute(
            "create table if not exists old_messages (id text primary key, room_id text, role text, content text, "
            "user_id text, created_at timestamptz)"
        )
        rows = [
            (f"{room_id}-{n}", room_id, "user" if n % 2 else "assistant", said, "42", BEGAN + timedelta(minutes=n))
            for n, said in enumerate(contents, first)
        ]
        await connection.executemany("insert into old_messages values ($1, $2, $3, $4, $5, $6)", rows)
    finally:
        await connection.close()


@pytest.mark.usefixtures("import_folder", "worker")
async def test_messages_are_brought_over_recorded_in_both_and_counted(
    resources: Resources,
    memory: MemoryClient,
    old_redis: RedisServer,
    redis_url: str,
    database_url: str,
    tmp_path: Path,
) -> None:
    variables = {
        "OLD_DATABASE_URL": database_url,
        "SUPERUSER_URL": database_url,
        "OLD_REDIS_URL": old_redis.url,
        "REDIS_HOST": "127.0.0.1",
        "REDIS_PORT": redis_url.rpartition(":")[2].partition("/")[0],
        "FOLDER": str(tmp_path),
        "PERSON": "42",
    }
    shell = Shell(CommandLine(tmp_path), variables)
    await add_rows(database_url, "user:42", "I moved to Lima.", 'Noted,\nas you "said".', "I like boats.")
    await add_rows(database_url, "room:office", "We meet at nine.", "At nine.")
    await shell.run(block(PAGE, "1. Bring over what was said", "own_room"))
    await shell.run(block(PAGE, "1. Bring over what was said", "shared_rooms"))
    assert [state.messages for state in await resources.rooms.list_rooms(room_id="room:office")] == [2]

    # One was said before both recorded, and one after.
    await add_rows(database_url, "user:42", "Boats, noted.", "I like bees.", first=4)
    await memory.record("user:42", [Message(id="user:42-5", role="user", content="I like bees.", user_id="42")])
    await until_digested(resources, "user:42", 4)
    await shell.run(block(PAGE, "1. Bring over what was said", "own_room"))
    said = [message.content for message in await resources.rooms.messages("user:42")]
    assert sorted(said) == sorted(
        ["I moved to Lima.", 'Noted,\nas you "said".', "I like boats.", "Boats, noted.", "I like bees."]
    )

    async with Redis.from_url(old_redis.url) as old:
        for content in ("left", "over"):
            await old.rpush(buffer_key("user:7"), json.dumps({"role": "user", "content": content}))
        await shell.run(block(PAGE, "4. Let the old queues run dry", "leftovers"))
        assert await old.keys("*") == []
    await sweep(resources)
    await until_digested(resources, "user:7", 2)
    assert [message.content for message in await resources.rooms.messages("user:7")] == ["left", "over"]

    await shell.run(block(PAGE, "5. Count", "counts"))
    assert await resources.quarantine.list_open() == []
    await shell.run(block(PAGE, "Back", "back").replace("$SINCE", "2026-01-01"))
    assert len((tmp_path / "back.jsonl").read_text().splitlines()) == 9


async def test_memories_of_mem0_are_brought_under_ours(
    environment: None, monkeypatch: pytest.MonkeyPatch, start_api: StartApi
) -> None:
    async with Mem0Server() as mem0:
        told = {"MEM0_BACKEND": "platform", "MEM0_API_KEY": API_KEY, "MEM0_HOST": mem0.url}
        for name, value in told.items():
            monkeypatch.setenv(name, value)
        # An equal text of the same person is not added, as its own pages say.
        mem0.memories.deduplicates = "answers nothing"
        texts = [f"The user likes the number {number}." for number in range(3)]
        for text in texts:
            mem0.memories.plant(text, "12345678k")
        other = mem0.memories.plant("Somebody else's.", "999")
        url = await start_api()
        for brought in (3, 0):
            assert await asyncio.to_thread(_bring_over, mem0.url, url) == brought
        held = [one for one in mem0.memories.by_id.values() if one.id != other.id]
        assert sorted(one.memory.splitlines()[0] for one in held) == texts
        assert all("brain_id" in one.metadata for one in held)
        async with httpx.AsyncClient(base_url=url, timeout=30, trust_env=False) as api:
            known = (await api.get("/v1/users/42/memories")).json()["memories"]
        assert sorted(one["content"] for one in known) == texts


def _bring_over(mem0_url: str, api_url: str) -> int:
    before_mem0()
    code = re.search(r"```python memories\n(.*?)```", (ROOT / "docs" / PAGE).read_text(), re.DOTALL)
    assert code is not None
    names: dict[str, Any] = {}
    exec(code[1], names)  # noqa: S102  the page's own
    with httpx.Client(base_url=api_url, timeout=30, trust_env=False) as api:
        mem0 = names["MemoryClient"](api_key=API_KEY, host=mem0_url)
        try:
            return int(names["bring_over"](mem0, api, "42", "12345678k"))
        finally:
            mem0.client.close()
