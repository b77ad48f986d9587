"""Promise 7: a canary goes through everything, failures too, and is found in no history and no log."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import asyncpg
import pytest
from afterturn_client.memory_client import MemoryClient
from afterturn_client.names import room_digest_id
from afterturn_client.rooms import buffer_key
from temporalio.client import WorkflowFailureError
from temporalio.service import RPCError

from services.resources import Resources
from tests.support.openai_server import OpenAIServer, Status
from tests.support.remembering import Finding, Remembering
from tests.support.rooms import until_digested

CANARY = "xylophonecanary"
ROOT = Path(__file__).parents[2]


@pytest.fixture
async def worker_log(environment: None, tmp_path: Path) -> AsyncIterator[Path]:
    log = tmp_path / "worker.log"
    with log.open("wb") as out:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-X", "dev", "-m", "services.worker", cwd=ROOT, stdout=out, stderr=out
        )
        yield log
        process.terminate()
        await process.wait()


def said(log: Path) -> str:
    return log.read_text(errors="replace")


async def everything_in_temporal(resources: Resources) -> str:
    found = []
    async for run in resources.temporal.list_workflows():
        handle = resources.temporal.get_workflow_handle(run.id, run_id=run.run_id)
        found.append((await handle.fetch_history()).to_json())
        found.append(str(await handle.describe()))
    return "\n".join(found)


async def failing_steps(resources: Resources, room: str) -> set[str]:
    """Give the steps that a room's digest tries again."""
    handle = resources.temporal.get_workflow_handle(room_digest_id(room))
    with suppress(RPCError):  # not started yet
        pending = (await handle.describe()).raw_description.pending_activities
        return {step.activity_type.name for step in pending if step.attempt > 1}
    return set()


@pytest.mark.timeout(240)
async def test_a_canary_is_found_in_no_history_and_no_log(
    resources: Resources, memory: MemoryClient, model: OpenAIServer, worker_log: Path, database_url: str
) -> None:
    findings = [Finding(f"collect {CANARY}", f"The user collects {CANARY} maps.", slug=f"{CANARY}_maps")]
    model.answer = Remembering(findings, summary=f"The user said {CANARY}.")
    quoting = Status(400, body=json.dumps({"error": {"message": f"cannot read {CANARY}", "code": CANARY}}).encode())
    model.refuses = lambda request: quoting if "poison" in json.dumps(request) else None
    database = await asyncpg.connect(database_url)
    await database.execute("alter table messages add constraint broken check (content not like '%broken%')")
    await database.execute("alter table user_brain add constraint broken check (content not like '%maps%')")

    await memory.record_turn("user:1", user=f"{CANARY} poison", assistant=CANARY, tool_calls=[{"name": CANARY}])
    await memory.record_turn("user:2", user=f"{CANARY} broken", assistant=CANARY, metadata={"note": CANARY})
    await memory.record_turn("user:4", user=f"I collect {CANARY} maps.", assistant=CANARY)
    bad = [f'{{"role": "{CANARY}"}}'.encode(), CANARY.encode(), f'{{"role": "user", "{CANARY}": 1}}'.encode()]
    await resources.redis.rpush(buffer_key("user:3"), *bad, f'{{"role":"user","content":"{CANARY}"}}'.encode())

    await until_digested(resources, "user:1", 2, seconds=90)
    async with asyncio.timeout(60):
        while "IntegrityError" not in said(worker_log):
            await asyncio.sleep(0.2)
        while "digest_next" not in await failing_steps(resources, "user:4"):
            await asyncio.sleep(0.2)
    for table in ("messages", "user_brain"):
        await database.execute(f"alter table {table} drop constraint broken")
    await database.close()
    await until_digested(resources, "user:2", 2, seconds=90)
    await until_digested(resources, "user:3", 1, seconds=90)
    await until_digested(resources, "user:4", 2, seconds=90)
    assert [one.slug for one in await resources.brain.get_all_by_user("4")] == [f"{CANARY}_maps"]

    items = await resources.quarantine.list_open()
    assert {item.kind for item in items} == {"chunk", "entry"}
    assert CANARY not in "".join(item.detail for item in items)
    told = await everything_in_temporal(resources)
    assert "memories were not saved" in told
    assert CANARY not in told
    assert CANARY not in said(worker_log)


@pytest.mark.parametrize("wrong", [{"room_id": f"user:{CANARY}@example.org"}, {"room": CANARY}, {"room_id": 7}])
async def test_a_wrong_input_fails_the_start_at_once_without_quoting_it(
    wrong: dict[str, object], worker: None, resources: Resources
) -> None:
    handle = await resources.temporal.start_workflow("RoomMemory", wrong, id="wrong", task_queue="memory")
    with pytest.raises(WorkflowFailureError) as failure:
        await asyncio.wait_for(handle.result(), 60)
    said = str(failure.value.cause)
    assert "room_id" in said
    assert CANARY not in said
