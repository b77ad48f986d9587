"""A worker is killed with SIGKILL again and again while somebody is forgotten: it rolls forward."""

import asyncio
import signal

import pytest
from afterturn_client.memory_client import MemoryClient

from services.operations.forgetting import ForgettingRuns
from services.resources import Resources
from services.worker.run import running_workers
from tests.support.forgetting import CANARY, forget, nothing_is_left, repeats_what_it_is_shown
from tests.support.openai_server import OpenAIServer
from tests.support.rooms import until_digested
from tests.support.worker_process import worker_process

# After so many of its transactions, their commits included, each worker dies.
FATAL = (14,)


@pytest.mark.chaos
@pytest.mark.timeout(600)
async def test_a_forgetting_is_finished_wherever_the_worker_is_killed(
    resources: Resources, memory: MemoryClient, model: OpenAIServer
) -> None:
    repeats_what_it_is_shown(model)
    async with running_workers():
        await memory.record_turn("user:ben", user="I collect red boats.", assistant="Boats!")
        await memory.record_turn("user:ana", user=f"I collect {CANARY} maps.", assistant=CANARY)
        await memory.record_turn("room:x", user=f"I collect {CANARY} maps.", assistant=CANARY, user_id="ana")
        await memory.record_turn("room:x", user="I collect red boats.", assistant="Boats!", user_id="ben")
        for room, number in (("user:ben", 2), ("user:ana", 2), ("room:x", 4)):
            await until_digested(resources, room, number, seconds=90)
    await ForgettingRuns(resources.temporal).start("user", "ana")
    for fatal in FATAL:
        async with worker_process("tests.support.dying_forgetter", str(fatal)) as process:
            assert await asyncio.wait_for(process.wait(), 60) == -signal.SIGKILL
    async with running_workers():
        receipt = await forget(resources, "user", "ana")
        await until_digested(resources, "room:x", 2, seconds=90)
    await nothing_is_left(resources, CANARY)
    assert receipt.erased["messages"] == 4
    assert receipt.own_row == "deleted"
    assert [one.user_id for one in await resources.rooms.messages("room:x")] == ["ben", "ben"]
    assert [one.slug for one in await resources.brain.get_all_by_user("ben")] == ["boats"]
