"""An import whose worker is killed with SIGKILL, in the middle of a page and between two: each message counts once."""

import asyncio
import signal
from pathlib import Path

import pytest

from activities.import_steps import ImportResult
from services.resources import Resources
from services.worker.run import running_workers
from tests.support.exports import line
from tests.support.imports import import_folder, start_import
from tests.support.worker_process import worker_process

__all__ = ["import_folder"]

ROOMS = 4
MESSAGES = 3_000


async def count(resources: Resources) -> int:
    return sum(state.messages for state in await resources.rooms.list_rooms())


def write(path: Path) -> None:
    """Several rooms in turn; every hundredth line is one that stood ten lines before, or is broken."""
    with path.open("w") as file:
        for number in range(MESSAGES):
            file.write(line(number, conversation_id=f"c{number % ROOMS}"))
            if number % 100 == 50:
                file.write(line(number - 10, conversation_id=f"c{(number - 10) % ROOMS}"))
                file.write(f"{{broken {number}\n")


@pytest.mark.chaos
@pytest.mark.timeout(420)
async def test_an_import_goes_on_where_its_killed_worker_stopped(import_folder: Path, resources: Resources) -> None:
    write(import_folder / "chats.jsonl")
    # So slowly that it is not done before the third worker is killed, however late that is noticed.
    handle = await start_import(resources, "chats.jsonl", user_id="42", max_per_second=200)
    for fatal in ("after-archive.add", "after-archive.add"):
        async with worker_process("tests.support.dying_worker", fatal) as process:
            assert await asyncio.wait_for(process.wait(), 60) == -signal.SIGKILL, fatal
    async with worker_process("services.worker") as process, asyncio.timeout(90):
        while await count(resources) < MESSAGES / 5:
            await asyncio.sleep(0.02)
        process.kill()
    killed_at = await count(resources)
    assert MESSAGES / 5 <= killed_at < MESSAGES

    async with running_workers():
        await handle.execute_update("set_rate", {"max_per_second": None})
        result = await asyncio.wait_for(handle.result(), 120)

    extra = MESSAGES // 100
    assert result == ImportResult(conversations=ROOMS, messages_added=MESSAGES, repeated=extra, quarantined=extra)
    for room in range(ROOMS):
        messages = await resources.rooms.messages(f"room:c{room}")
        assert [message.content for message in messages] == [f"says {n}" for n in range(room, MESSAGES, ROOMS)]
        assert [message.seq for message in messages] == list(range(1, MESSAGES // ROOMS + 1))
    assert len(await resources.quarantine.list_open(limit=1_000)) == extra
