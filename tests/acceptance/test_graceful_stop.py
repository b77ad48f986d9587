"""Promise 5 while workers come and go: a model call that is under way when a worker is told to stop is not lost."""

import asyncio
import signal
from collections import Counter
from typing import Any

import pytest
from afterturn_client.memory_client import MemoryClient
from afterturn_client.names import LLM_QUEUE, MEM0_QUEUE, MEMORY_QUEUE
from sqlalchemy import text

from services.resources import Resources
from services.worker.run import running_workers
from tests.support.openai_server import COMPLETIONS, OpenAIServer
from tests.support.rooms import keys_left, until_digested
from tests.support.worker_process import worker_process

QUEUES = (MEMORY_QUEUE, LLM_QUEUE, MEM0_QUEUE)
ROOM, OTHER = "user:42", "user:43"
# What is asked of a chunk at once.
BOTH = Counter(summarise=1, extract=1)


class Held:
    """A model that answers while it is open."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.open.set()

    async def __call__(self, request: dict[str, Any]) -> str:  # noqa: ARG002
        await self.open.wait()
        return "The user moved to Lima."


@pytest.fixture
def held(model: OpenAIServer) -> Held:
    model.answer = held = Held()
    return held


@pytest.mark.slow
async def test_calls_under_way_are_finished_and_their_answers_used(
    resources: Resources, memory: MemoryClient, model: OpenAIServer, held: Held, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHUTDOWN_SECONDS", "60")
    async with worker_process(stderr=asyncio.subprocess.PIPE) as process:
        await memory.record_turn(ROOM, user="Good morning.", assistant="Good morning.")
        await until_digested(resources, ROOM, 2)
        before = asked(model)
        held.open.clear()
        await memory.record_turn(ROOM, user="I moved to Lima.", assistant="Noted.")
        await until_asked(model, before + BOTH)
        process.send_signal(signal.SIGTERM)
        await until_it_stops(process)
        process.send_signal(signal.SIGTERM)  # who is in a hurry asks twice
        await memory.record_turn(OTHER, user="Hello.", assistant="Hello.")
        await asyncio.sleep(2)
        assert (process.returncode, model.abandoned) == (None, 0)
        held.open.set()
        assert await asyncio.wait_for(process.wait(), 60) == 0
    # Nothing was begun any more: neither the next question about the same chunk, nor another room.
    assert asked(model) - before == BOTH
    assert await recorded(resources) == before + BOTH
    assert await keys_left(resources, OTHER) != []

    async with running_workers():
        await until_digested(resources, ROOM, 4)
        await until_digested(resources, OTHER, 2)
    assert asked(model) - before == BOTH + Counter(roll=1) + BOTH
    assert (await resources.summaries.parts(ROOM))[-1].made_by == "model"


async def test_calls_that_outlast_the_grace_are_asked_once_more(
    resources: Resources, memory: MemoryClient, model: OpenAIServer, held: Held, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHUTDOWN_SECONDS", "1")
    held.open.clear()
    async with running_workers():
        await memory.record_turn(ROOM, user="I moved to Lima.", assistant="Noted.")
        await until_asked(model, BOTH)
    held.open.set()
    async with running_workers():
        await until_digested(resources, ROOM, 2)
    assert asked(model) == BOTH + BOTH
    assert await recorded(resources) == BOTH
    assert [message.content for message in await resources.rooms.messages(ROOM)] == ["I moved to Lima.", "Noted."]


async def until_it_stops(process: asyncio.subprocess.Process) -> None:
    """Wait until the worker of each task queue has heard that it shall stop."""
    assert process.stderr is not None
    async with asyncio.timeout(60):
        for _ in QUEUES:
            while b"Beginning worker shutdown" not in await process.stderr.readline():
                assert process.returncode is None


async def until_asked(model: OpenAIServer, wanted: Counter[str]) -> None:
    async with asyncio.timeout(60):
        while asked(model) != wanted:
            await asyncio.sleep(0.05)


def asked(model: OpenAIServer) -> Counter[str]:
    return Counter(step_of(str(body)) for body in model.asked(COMPLETIONS))


def step_of(body: str) -> str:
    return "extract" if "response_format" in body else "roll" if "<parts>" in body else "summarise"


async def recorded(resources: Resources) -> Counter[str]:
    async with resources.database.transaction() as session:
        return Counter(await session.scalars(text("select step from model_answers")))
