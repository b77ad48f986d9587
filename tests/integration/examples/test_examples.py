"""The examples on real servers, as their readers run them."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from afterturn_client.memory_client import MemoryClient
from afterturn_client.receipts import TurnReceipt
from fastapi import FastAPI

from examples.fastapi_chat.app import INSTRUCTIONS, Clients, app, lifespan
from services.resources import Resources
from services.worker.run import running_workers
from tests.support.main_job import RECORD_SECONDS, SUMMARY_MODEL
from tests.support.openai_server import OpenAIServer
from tests.support.rooms import until_digested
from tests.support.served import served

LINES = [
    {"id": "m1", "role": "user", "content": "I moved to Lima.", "user_id": "42"},
    {"id": "m2", "role": "assistant", "content": "Noted!"},
]


@asynccontextmanager
async def patient(_: FastAPI) -> AsyncIterator[Clients]:
    """Open what the example opens, but wait for a Redis that stands still longer than a person would."""
    async with lifespan(app) as clients, MemoryClient.connect(seconds=RECORD_SECONDS) as memory:
        yield {**clients, "memory": memory}


@pytest.fixture
async def chat(
    monkeypatch: pytest.MonkeyPatch, environment: None, api_url: str, model: OpenAIServer
) -> AsyncIterator[httpx.AsyncClient]:
    """Serve the chat example, whose model repeats what it was told to be remembered."""
    monkeypatch.setenv("AFTERTURN_API_URL", api_url)
    patiently = FastAPI(lifespan=patient, routes=app.routes)
    async with served(patiently) as url, httpx.AsyncClient(base_url=url, timeout=60, trust_env=False) as client:
        yield client


def shown(model: OpenAIServer) -> str:
    """Give what the model was last told by the example."""
    instructions = [str(request["messages"][0]["content"]) for _, request in model.requests if "messages" in request]
    return next(text for text in reversed(instructions) if text.startswith(INSTRUCTIONS))


async def test_the_chat_answers_with_what_was_said_a_moment_ago_and_what_became_of_it(
    chat: httpx.AsyncClient, model: OpenAIServer, resources: Resources, memory: MemoryClient, worker: None
) -> None:
    first = await chat.post("/chat", json={"user_id": "42", "text": "I moved to Lima.", "turn_id": "t1"})
    assert first.json() == {"text": "The user moved to Lima.", "is_recorded": True}
    assert "Lima" not in shown(model)
    await chat.post("/chat", json={"user_id": "42", "text": "Where do I live?", "turn_id": "t2"})
    assert "I moved to Lima." in shown(model), "what is still in Redis counts"
    await until_digested(resources, "user:42", 4)
    await chat.post("/chat", json={"user_id": "42", "text": "Anything else?", "turn_id": "t3"})
    assert "The conversation so far" in shown(model)
    await chat.post("/chat", json={"user_id": "43", "text": "And me?"})
    assert "Lima" not in shown(model).replace("user:42", "")


async def test_a_turn_that_is_sent_twice_is_stored_once(
    chat: httpx.AsyncClient, resources: Resources, worker: None
) -> None:
    for _ in range(2):
        await chat.post("/chat", json={"user_id": "42", "text": "I moved to Lima.", "turn_id": "t1"})
    await until_digested(resources, "user:42", 2)
    [room] = await resources.rooms.list_rooms(room_id="user:42")
    assert room.messages == 2


async def run(program: str, argument: str, **environment: str) -> str:
    command = [sys.executable, f"examples/plain_producer/{program}.py", argument]
    lines = "".join(json.dumps(line) + "\n" for line in LINES)
    ended = await asyncio.to_thread(
        subprocess.run,
        command,
        input=lines,
        env={**os.environ, **environment},
        timeout=60,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


@pytest.mark.parametrize("twice", [False, True])
async def test_a_producer_over_redis(resources: Resources, redis_url: str, twice: bool) -> None:  # noqa: FBT001
    for _ in range(1 + twice):
        assert await run("over_redis", "42", REDIS_URL=redis_url) == "2 messages\n"
    buffered = await resources.recent.buffered("user:42")
    assert [message.content for message in buffered][:2] == ["I moved to Lima.", "Noted!"]


async def test_a_producer_over_http(api_url: str, resources: Resources, worker: None) -> None:
    for _ in range(2):
        assert await run("over_http", "room:support", AFTERTURN_API_URL=api_url) == "2 messages\n"
    await until_digested(resources, "room:support", 2)
    [room] = await resources.rooms.list_rooms(room_id="room:support")
    assert room.messages == 2


async def test_the_client_reads_what_it_recorded(api_url: str, redis_url: str, temporal_address: str) -> None:
    """The client against the API itself: its shapes are read here, not those that a test made up."""
    async with MemoryClient.connect(redis_url, temporal_address, api_url=api_url, seconds=RECORD_SECONDS) as memory:
        receipt = await memory.record_turn("user:42", user="I moved to Lima.", assistant="Noted!")
        # No worker takes it out of the buffer yet.
        fresh = await memory.context("user:42", query="Where do I live?", token_budget=900)
        assert [message.is_buffered for message in fresh.messages] == [True, True]
        assert "I moved to Lima." in fresh.markdown
        async with running_workers():
            await reads_what_is_digested(memory, receipt)
            await records_over_http(api_url)


async def reads_what_is_digested(memory: MemoryClient, receipt: TurnReceipt) -> None:
    statuses = await receipt.wait("digested", seconds=60)
    assert [(one.message_id, one.state, one.seq) for one in statuses] == [
        (receipt.message_ids[0], "digested", 1),
        (receipt.message_ids[1], "digested", 2),
    ]
    context = await memory.context("user:42", strategy={"messages_share": 0.9, "max_memories": 5})
    assert context.summary
    assert context.strategy["messages_share"] == 0.9
    found = await memory.search("Lima", user_id="42", limit=3)
    assert found.hits
    assert any("Lima" in hit.text for hit in found.hits)
    page: Any = await memory.memories(user_id="42", limit=5)
    assert page.next_cursor is None


async def records_over_http(api_url: str) -> None:
    async with MemoryClient.connect(api_url=api_url, seconds=RECORD_SECONDS) as over_http:
        receipt = await over_http.record_turn("user:42", user="And I like it.", tool_calls=[{"name": "note"}])
        assert [one.state for one in await receipt.wait("archived", seconds=60)] in (
            ["archived", "archived"],
            ["archived", "digested"],
            ["digested", "digested"],
        )


async def test_the_model_of_the_example_is_the_one_of_the_stack(chat: httpx.AsyncClient, model: OpenAIServer) -> None:
    await chat.post("/chat", json={"user_id": "1", "text": "Hello"})
    assert model.requests[-1][1]["model"] == SUMMARY_MODEL
