"""A load of rows whose worker is killed with SIGKILL, between two transactions and in the midst: each owner once."""

import asyncio
import signal
from collections import Counter

import pytest

from activities.load_steps import UsersLoaded
from services.operations.backfills import Backfills
from services.resources import Resources
from services.worker.run import running_workers
from tests.support.loads import add, versions
from tests.support.memories_kept import kept
from tests.support.worker_process import worker_process

OWNERS = 300


@pytest.mark.chaos
@pytest.mark.timeout(300)
async def test_each_owner_is_loaded_and_counted_once_however_often_the_worker_is_killed(resources: Resources) -> None:
    await add(resources, "user", OWNERS)
    backfills = Backfills(resources.temporal)
    # So slowly that it is not done before the second worker is killed, however late that is noticed.
    backfill_id = await backfills.start_all("user", {"max_per_second": 20, "batch_size": 50, "only_missing": True})
    async with worker_process("tests.support.dying_worker", "after-memories.save_many") as process:
        assert await asyncio.wait_for(process.wait(), 60) == -signal.SIGKILL
    async with worker_process("services.worker") as process, asyncio.timeout(90):
        while len(await versions(resources)) < OWNERS * 4 / 6:
            await asyncio.sleep(0.05)
        process.kill()
    killed_at = len(await versions(resources))
    assert OWNERS * 4 / 6 <= killed_at < OWNERS * 4

    async with running_workers():
        await backfills.set_rate(backfill_id, None)
        loaded = await asyncio.wait_for(backfills.wait(backfill_id), 120)

    assert loaded.result == UsersLoaded(
        total_users=OWNERS, loaded_users=OWNERS, failed_users=0, total_memories_created=OWNERS * 4
    )
    told = await versions(resources)
    assert set(Counter((owner, slug) for owner, slug, *_ in told).values()) == {1}
    assert len(told) == OWNERS * 4
    assert (await kept(resources.database)).agrees()
