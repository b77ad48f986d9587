"""Promises 1, 3 and 4: whatever is down, recording goes on, and the work goes on by itself when it is back."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import pytest
from afterturn_client.errors import RecordingFailedError
from afterturn_client.memory_client import MemoryClient
from afterturn_client.rooms import buffer_key

from services.embedded.postgres_server import PostgresServer
from services.embedded.redis_server import RedisServer
from services.embedded.temporal_server import TemporalServer
from services.postgres.migrate import upgrade
from services.resources import Resources, open_resources
from services.worker.run import running_workers
from tests.support.main_job import RECORD_SECONDS, settings_of
from tests.support.openai_server import COMPLETIONS, EMBEDDINGS, Embed, OpenAIServer, Status
from tests.support.remembering import asks_for_memories
from tests.support.rooms import keys_left, until_digested
from tests.support.servers import FAST_POSTGRES, running, short_folder

ROOM = "user:42"
PROBE = "hello"


@contextmanager
def own_servers() -> Iterator[tuple[RedisServer, PostgresServer, TemporalServer]]:
    """Start servers that a test may stop and kill."""
    with (
        short_folder() as folder,
        running(RedisServer(folder / "redis")) as redis,
        running(PostgresServer(folder / "postgres", database="afterturn", settings=FAST_POSTGRES)) as postgres,
        running(TemporalServer(folder / "temporal")) as temporal,
    ):
        yield redis, postgres, temporal


@pytest.fixture(scope="module")
def servers() -> Iterator[tuple[RedisServer, PostgresServer, TemporalServer]]:
    with own_servers() as started:
        yield started


async def test_recording_succeeds_with_everything_else_down_and_all_is_digested_later(
    servers: tuple[RedisServer, PostgresServer, TemporalServer],
    model: OpenAIServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    redis, postgres, temporal = servers
    await upgrade(postgres.url)
    for name, value in settings_of(redis.url, postgres.url, temporal.address, model).items():
        monkeypatch.setenv(name, value)
    await postgres.stop()
    await temporal.stop()
    await model.down()
    async with MemoryClient.connect(seconds=10, close_grace_seconds=0.2) as memory:
        started = time.monotonic()
        for turn in range(5):
            await memory.record_turn(ROOM, user=f"asks {turn}", assistant=f"hears {turn}")
        assert time.monotonic() - started < 20

    await temporal.start()
    await postgres.start()
    await model.up()
    async with open_resources() as resources, running_workers():
        await until_digested(resources, ROOM, 10, seconds=120)
        expected = [said for turn in range(5) for said in (f"asks {turn}", f"hears {turn}")]
        assert [message.content for message in await resources.rooms.messages(ROOM)] == expected

        for server in (postgres, redis, temporal):
            async with MemoryClient.connect(seconds=RECORD_SECONDS) as memory:
                await memory.record_turn(ROOM, user=f"before {type(server).__name__} dies", assistant="noted")
            await server.kill()
            await asyncio.sleep(6)
            await server.start()
        await until_digested(resources, ROOM, 16, seconds=120)
        failed = resources.temporal.list_workflows("ExecutionStatus = 'Failed'")
        assert [run.id async for run in failed] == []


async def test_with_redis_down_recording_fails_at_once_and_may_be_repeated(
    servers: tuple[RedisServer, PostgresServer, TemporalServer],
) -> None:
    redis, _, temporal = servers
    async with MemoryClient.connect(redis.url, temporal.address, seconds=10, close_grace_seconds=0.2) as memory:
        await redis.stop()
        started = time.monotonic()
        with pytest.raises(RecordingFailedError) as failure:
            await memory.record_turn("user:7", user="hello")
        assert time.monotonic() - started < 20
        await redis.start()
        receipt = await memory.record("user:7", failure.value.messages)
        assert receipt.message_ids == tuple(message.id for message in failure.value.messages)


async def test_a_producer_that_only_pushes_is_served(worker: None, resources: Resources) -> None:
    await resources.redis.rpush(buffer_key("user:77"), b'{"role": "user", "content": "I only push."}')
    await until_digested(resources, "user:77", 1, seconds=120)
    [message] = await resources.rooms.messages("user:77")
    assert (message.content, message.user_id) == ("I only push.", "77")


@pytest.mark.parametrize("how", ["unreachable", "overloaded", "unauthorised"])
async def test_without_the_model_redis_is_emptied_and_nothing_is_quarantined(
    how: str, resources: Resources, memory: MemoryClient, model: OpenAIServer
) -> None:
    if how == "unreachable":
        await model.down()
    else:
        model.fault = Status(503 if how == "overloaded" else 401)
    for turn in range(5):
        await memory.record_turn(ROOM, user=f"asks {turn}", assistant="hears")
    # Only now does a worker look: all turns are of one chunk.
    async with running_workers():
        await until_archived(resources, ROOM, 10)
        assert await keys_left(resources) == []
        await asyncio.sleep(8)  # enough failures that a chunk would be suspected
        assert await resources.quarantine.list_open() == []

        model.requests.clear()
        if how == "unreachable":
            await model.up()
        else:
            model.fault = None
        await until_digested(resources, ROOM, 10, seconds=90)
    assert without_probes(model, COMPLETIONS) == 2  # a summary, and what is worth remembering
    assert without_probes(model, EMBEDDINGS) == 2  # the messages, and the summary


async def test_an_answer_that_was_recorded_is_not_asked_for_again(
    worker: None, resources: Resources, memory: MemoryClient, model: OpenAIServer
) -> None:
    model.embed = cut_off_twice_after_an_answer(model)
    await memory.record_turn(ROOM, user="I moved to Lima.", assistant="Noted!")
    await until_digested(resources, ROOM, 2, seconds=60)
    assert without_probes(model, COMPLETIONS) == 2  # a summary, and what is worth remembering
    assert without_probes(model, EMBEDDINGS) == 5  # the messages, the summary, the memory; two were cut off


def without_probes(model: OpenAIServer, route: str) -> int:
    """Count the requests that are about the chat: a word is asked for to learn whether the model answers anybody."""
    return sum(body.get("max_tokens") != 1 and body.get("input") != [PROBE] for body in model.asked(route))


def cut_off_twice_after_an_answer(model: OpenAIServer) -> Embed:
    """Cut the connection of the first two requests that are about the chat and follow an answer."""
    embed, left = model.embed, iter(range(2))

    def cutting(text: str, request: dict[str, Any]) -> list[float]:
        if text != PROBE and model.calls[COMPLETIONS] and next(left, None) is not None:
            raise ConnectionAbortedError
        return embed(text, request)

    return cutting


async def until_archived(resources: Resources, room_id: str, messages: int, *, seconds: float = 60.0) -> None:
    async with asyncio.timeout(seconds):
        while await resources.rooms.last_seq(room_id) < messages or await keys_left(resources):
            await asyncio.sleep(0.1)


async def test_a_model_that_says_when_to_come_back_is_not_asked_before(
    worker: None, resources: Resources, memory: MemoryClient, model: OpenAIServer
) -> None:
    model.refuses = lambda request: Status(429, retry_after="6") if asks_for_a_summary(request) else None
    await memory.record_turn(ROOM, user="I moved to Lima.", assistant="Noted!")
    while not summaries_asked_for(model):
        await asyncio.sleep(0.05)
    model.refuses = None
    await until_digested(resources, ROOM, 2, seconds=60)
    first, second = summaries_asked_for(model)
    assert (second - first).total_seconds() >= 6


def summaries_asked_for(model: OpenAIServer) -> list[datetime]:
    return [when for when, body in model.completions if "response_format" not in body]


def asks_for_a_summary(request: dict[str, Any]) -> bool:
    return "messages" in request and not asks_for_memories(request)
