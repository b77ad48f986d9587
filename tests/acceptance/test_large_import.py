"""A file of many messages takes no more memory than a file of few."""

import asyncio
from pathlib import Path

import pytest

from services.resources import Resources
from tests.benchmarks.imports import HighWater, worker_process, write
from tests.support.imports import imported

# What garbage collection and a page more or less may take.
SLACK = 40


@pytest.mark.slow
@pytest.mark.timeout(900)
async def test_fifty_thousand_messages_take_no_more_memory_than_five_thousand(
    import_folder: Path, resources: Resources, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What is measured is the import: no digests, and none of their workflows in the cache.
    monkeypatch.setenv("TASK_QUEUES", "memory")
    monkeypatch.setenv("MAX_CACHED_WORKFLOWS", "10")
    most = {}
    async with worker_process() as process:
        for messages in (5_000, 50_000):
            file = await asyncio.to_thread(write, import_folder / f"{messages}.jsonl", messages)
            memory = HighWater(process)
            async with memory.watched():
                result = await imported(resources, file.name, str(messages), user_id="42")
            assert result.messages_added + result.repeated == messages
            assert (result.conversations, result.quarantined) == (messages // 50, 0)
            most[messages] = memory.most
    handle = resources.temporal.get_workflow_handle("import-history:50000")
    assert len((await handle.fetch_history()).events) < 1_000
    assert most[50_000] - most[5_000] < SLACK, most
