"""Promises 2, 3 and 5: a worker is killed with SIGKILL at every step of a turn's way."""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from afterturn_client.memory_client import MemoryClient
from afterturn_client.messages import Message, encode_entry
from afterturn_client.rooms import buffer_key
from sqlalchemy import text

from services.domain.memories import owner_of
from services.resources import Resources
from services.worker.run import running_workers
from tests.support.mem0_server import API_KEY, Mem0Server
from tests.support.memories_kept import kept
from tests.support.openai_server import OpenAIServer
from tests.support.platform_store import held
from tests.support.rooms import keys_left, until_digested
from tests.support.steps import POINTS, POINTS_APART, Point

TURNS = 3
ROOT = Path(__file__).parents[2]


class DyingWorkers:
    """Runs one worker after the other, each until it kills itself."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @classmethod
    @asynccontextmanager
    async def open(cls) -> AsyncIterator["DyingWorkers"]:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.support.dying_workers",
            cwd=ROOT, stdin=PIPE, stdout=PIPE, start_new_session=True,
        )  # fmt: skip
        try:
            yield cls(process)
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            await process.communicate()

    async def start(self, fatal: Point) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{fatal}\n".encode())
        assert await self._line(120) == "serving"

    async def is_killed(self) -> bool:
        return int(await self._line(60)) == -signal.SIGKILL

    async def _line(self, seconds: float) -> str:
        assert self._process.stdout is not None
        return (await asyncio.wait_for(self._process.stdout.readline(), seconds)).decode().strip()


async def record(memory: MemoryClient, resources: Resources, room: str) -> list[str]:
    """Record turns with ids, and entries without any, as a producer that knows nothing of us does."""
    said = []
    for turn in range(TURNS):
        asks = f"{room} asks {turn}. I live in Lima."
        await memory.record_turn(room, user=asks, assistant=f"{room} hears {turn}")
        bare = encode_entry(Message(role="user", content=f"{room} adds {turn}"))
        await resources.redis.rpush(buffer_key(room), bare)
        said += [asks, f"{room} hears {turn}", f"{room} adds {turn}"]
    return said


@pytest.mark.chaos
@pytest.mark.timeout(900)
async def test_no_message_is_lost_doubled_or_out_of_order_wherever_the_worker_is_killed(
    resources: Resources, memory: MemoryClient, model: OpenAIServer
) -> None:
    said: dict[str, list[str]] = {}
    async with DyingWorkers.open() as workers:
        for number, fatal in enumerate(POINTS):
            room = f"user:{number}"
            await workers.start(fatal)
            said[room] = await record(memory, resources, room)
            assert await workers.is_killed(), fatal

    async with running_workers():
        for room, contents in said.items():
            await until_digested(resources, room, len(contents), seconds=120)

    for room, contents in said.items():
        assert [message.content for message in await resources.rooms.messages(room)] == contents
        assert {receipt.state for receipt in await resources.rooms.receipts(room)} == {"digested"}
    assert await keys_left(resources) == []
    assert await resources.quarantine.list_open() == []
    for room in said:
        assert await asked_after_recorded(resources, model, room) == []
        [remembered] = await resources.brain.get_all_by_user(room.removeprefix("user:"))
        assert (remembered.slug, remembered.content) == ("home", f"{room.replace(':', ' ')}: I live in Lima.")
    assert (await kept(resources.database)).agrees()


@pytest.mark.chaos
@pytest.mark.timeout(300)
async def test_memories_are_kept_once_on_the_platform_wherever_the_worker_is_killed(
    monkeypatch: pytest.MonkeyPatch, resources: Resources, memory: MemoryClient, model: OpenAIServer
) -> None:
    async with Mem0Server() as mem0:
        platform = {"MEM0_BACKEND": "platform", "MEM0_API_KEY": API_KEY, "MEM0_HOST": mem0.url, "MEM0_TIMEOUT": "5"}
        for name, value in platform.items():
            monkeypatch.setenv(name, value)
        rooms = [f"user:{number}" for number in range(len(POINTS_APART))]
        async with DyingWorkers.open() as workers:
            for room, fatal in zip(rooms, POINTS_APART, strict=True):
                await workers.start(fatal)
                await memory.record_turn(room, user=f"{room} asks. I live in Lima.", assistant="Noted!")
                assert await workers.is_killed(), fatal
        async with running_workers():
            for room in rooms:
                await until_digested(resources, room, 2, seconds=120)

        for room in rooms:
            assert await asked_after_recorded(resources, model, room) == []
            [remembered] = await resources.brain.get_all_by_user(room.removeprefix("user:"))
            assert (remembered.slug, remembered.content) == ("home", f"{room.replace(':', ' ')}: I live in Lima.")
            assert list(held(mem0, owner_of("user", room.removeprefix("user:")))) == ["home"]


def step_of(body: str) -> str:
    return "extract" if "response_format" in body else "roll" if "<parts>" in body else "summarise"


async def asked_after_recorded(resources: Resources, model: OpenAIServer, room: str) -> list[str]:
    """Give the steps that were asked about again although each answer was written down."""
    last = text(
        "select a.step, max(a.created_at) as at from model_answers a join chunks c on c.id = a.chunk_id"
        " where c.room_id = :room group by a.step"
    )
    async with resources.database.transaction() as session:
        recorded = {row.step: row.at for row in await session.execute(last, {"room": room})}
    assert "extract" in recorded
    repeated = []
    for step, at in recorded.items():
        asked = [when for when, body in model.completions if f"{room} " in body and step_of(body) == step]
        assert asked, step
        repeated += [step for when in asked if when > at]
    return repeated
