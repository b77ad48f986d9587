"""Somebody to be forgotten, and what must be true afterwards."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

from afterturn_client.memory_client import MemoryClient

from activities.forget_steps import ForgetReceiptStep
from services.domain.memories import OwnerType
from services.operations.forgetting import ForgettingRuns
from services.resources import Resources
from tests.support.canaries import in_postgres, in_redis, in_temporal
from tests.support.openai_server import OpenAIServer
from tests.support.remembering import Finding, Remembering

CANARY = "xylophonecanary"
MAPS = Finding(f"collect {CANARY} maps", f"The user collects {CANARY} maps.", slug=f"{CANARY}_maps")
BOATS = Finding("collect red boats", "The user collects red boats.", slug="boats")


def repeats_what_it_is_shown(model: OpenAIServer) -> Remembering:
    """A model that summarises with Ana's words wherever they still are."""
    answers = Remembering([MAPS, BOATS])

    def answer(request: dict[str, Any]) -> str:
        shown = str(request["messages"][-1]["content"])
        answers.summary = f"The user collects {CANARY} maps." if CANARY in shown else "The user collects red boats."
        return answers(request)

    model.answer = answer
    return answers


async def forget(resources: Resources, owner_type: OwnerType, owner_id: str) -> ForgetReceiptStep:
    runs = ForgettingRuns(resources.temporal)
    await runs.start(owner_type, owner_id)
    done = await asyncio.wait_for(runs.wait(owner_type, owner_id), 120)
    assert done.state == "done"
    assert done.receipt is not None
    return done.receipt


async def nothing_is_left(resources: Resources, *canaries: str) -> None:
    assert await in_postgres(resources, canaries) == []
    for canary in canaries:
        assert await in_redis(resources, canary) == []
        assert await in_temporal(resources, canary) == []


@asynccontextmanager
async def repeating(memory: MemoryClient, *turns: dict[str, Any]) -> AsyncIterator[None]:
    """Let producers repeat old turns, with their old ids, all the time."""

    async def repeat() -> None:
        while True:
            for turn in turns:
                await memory.record_turn(**turn)
            await asyncio.sleep(0.1)

    producer = asyncio.create_task(repeat())
    try:
        yield
    finally:
        producer.cancel()
        with suppress(asyncio.CancelledError):
            await producer
