"""What operators do with a load that runs, by every way that docs/operations.md shows."""

import asyncio
import json
import os
import shlex
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from temporalio.client import WorkflowFailureError
from temporalio.exceptions import CancelledError

from activities.load_steps import UsersLoaded
from activities.priorities import BACKLOG
from services.domain.errors import InvalidInputError
from services.domain.memories import owner_of
from services.embedded.temporal_cli import find_temporal_cli
from services.operations.backfills import BackfillRunningError, Backfills, BackfillUnknownError
from services.resources import Resources, open_resources
from services.worker.run import running_workers
from tests.support.listed_runs import goes_on_from, listed_runs
from tests.support.loads import add, change, load_all, owner_id, versions
from tests.support.openai_server import OpenAIServer, Status
from tests.support.servers import SmallHistories, short_folder

DOCS = Path(__file__).parents[2] / "docs" / "operations.md"
USERS = "load-all-users-memories"
CANARY = "xylophonecanary"
# What a load asks for to learn whether the model answers anybody.
PROBE = ["hola"]


async def until(condition: Callable[[], Awaitable[bool]], seconds: float = 60) -> None:
    async with asyncio.timeout(seconds):
        while not await condition():
            await asyncio.sleep(0.1)


async def written(resources: Resources, least: int) -> bool:
    return len(await versions(resources)) >= least


async def stands(resources: Resources) -> bool:
    """Tell whether it knows that it shall pause, and no step is at work any more."""
    if (await Backfills(resources.temporal).describe(USERS)).state != "paused":
        return False
    description = await resources.temporal.get_workflow_handle(USERS).describe()
    return len(description.raw_description.pending_activities) == 0


async def test_a_load_is_refused_beside_itself_paused_slowed_and_resumed(resources: Resources, worker: None) -> None:
    await add(resources, "user", 400)
    backfills = Backfills(resources.temporal)
    assert await backfills.start_all("user", {"max_per_second": 20, "batch_size": 10}) == USERS
    with pytest.raises(BackfillRunningError) as refused:
        await backfills.start_all("user")
    assert refused.value.backfill_id == USERS
    await until(lambda: written(resources, 40))
    await backfills.pause(USERS)
    await until(lambda: stands(resources))
    paused = await backfills.describe(USERS)
    assert (paused.state, paused.result) == ("paused", None)
    assert paused.progress is not None
    assert 0 < paused.progress.done < 400
    assert paused.progress.total == 400
    assert len(await versions(resources)) == 4 * paused.progress.done

    slowed = await backfills.set_rate(USERS, 0.5)
    assert (slowed.max_per_second, slowed.paused) == (0.5, True)
    for wrong in (0, -1, float("nan")):
        with pytest.raises(InvalidInputError, match="max_per_second"):
            await backfills.set_rate(USERS, wrong)
    await backfills.resume(USERS)
    done = paused.progress.done
    await until(lambda: written(resources, 4 * done + 4))
    # One step is at work, and does as it is told without ending first.
    await backfills.set_rate(USERS, None)
    ended = await asyncio.wait_for(backfills.wait(USERS), 120)
    assert ended.state == "done"
    assert ended.result == UsersLoaded(total_users=400, loaded_users=400, failed_users=0, total_memories_created=1600)
    with pytest.raises(BackfillUnknownError):
        await backfills.pause(USERS)
    with pytest.raises(BackfillUnknownError):
        await backfills.describe("load-user-memories:nobody")
    with pytest.raises(BackfillUnknownError):
        await backfills.cancel("room-memory:user:42")
    history = await resources.temporal.get_workflow_handle(USERS).fetch_history()
    priorities = {
        event.activity_task_scheduled_event_attributes.priority.priority_key
        for event in history.events
        if event.HasField("activity_task_scheduled_event_attributes")
    }
    assert priorities == {BACKLOG}


async def test_an_outage_is_waited_out_and_counts_for_nobody(
    resources: Resources, worker: None, model: OpenAIServer
) -> None:
    await add(resources, "user", 30)
    model.fault = Status(503)
    backfills = Backfills(resources.temporal)
    await backfills.start_all("user")
    await until(lambda: tried_again(resources))
    now = await backfills.describe(USERS)
    assert now.state == "running"
    assert now.progress is not None
    assert (now.progress.done, now.progress.failed) == (0, 0)
    model.fault = None
    ended = await asyncio.wait_for(backfills.wait(USERS), 60)
    assert ended.result == UsersLoaded(total_users=30, loaded_users=30, failed_users=0, total_memories_created=120)


async def test_an_owner_with_whom_the_model_always_fails_stops_nobody(
    resources: Resources, worker: None, model: OpenAIServer
) -> None:
    await add(resources, "user", 30)
    await change(resources, "update profiles set full_name = 'poison' where id = :id", id=owner_id(3))
    model.refuses = lambda request: Status(500) if "poison" in str(request) else None
    ended = await asyncio.wait_for(load_all(resources, "user"), 120)
    assert ended.result == UsersLoaded(total_users=30, loaded_users=29, failed_users=1, total_memories_created=116)
    assert ended.failed_ids == (str(owner_id(3)),)


async def test_a_model_that_refuses_everything_is_an_outage(
    resources: Resources, worker: None, model: OpenAIServer
) -> None:
    await add(resources, "user", 30)
    probes = 0

    def refusing_until_it_was_tried_again(request: dict[str, Any]) -> Status | None:
        # Between an owner and the word that is asked for then, nothing may change.
        nonlocal probes
        if probes == 2:
            return None
        probes += request.get("input") == PROBE
        return Status(400)

    model.refuses = refusing_until_it_was_tried_again
    ended = await asyncio.wait_for(load_all(resources, "user"), 60)
    assert probes == 2
    assert ended.result == UsersLoaded(total_users=30, loaded_users=30, failed_users=0, total_memories_created=120)


async def tried_again(resources: Resources) -> bool:
    description = await resources.temporal.get_workflow_handle(USERS).describe()
    return any(step.attempt > 1 for step in description.raw_description.pending_activities)


async def test_a_cancelled_load_keeps_what_is_written(resources: Resources, worker: None) -> None:
    await add(resources, "user", 300)
    backfills = Backfills(resources.temporal)
    await backfills.start_all("user", {"max_per_second": 20, "batch_size": 10})
    await until(lambda: written(resources, 4))
    await backfills.cancel(USERS)
    assert (await asyncio.wait_for(backfills.wait(USERS), 60)).state == "cancelled"
    kept = len(await versions(resources))
    assert 0 < kept < 1200
    rest = await load_all(resources, "user")
    assert rest.result == UsersLoaded(
        total_users=300, loaded_users=300, failed_users=0, total_memories_created=1200 - kept
    )


async def test_a_load_goes_on_as_another_run_and_keeps_its_counts(
    environment: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    with short_folder() as folder:
        async with SmallHistories(folder / "temporal") as server:
            monkeypatch.setenv("TEMPORAL_ADDRESS", server.address)
            monkeypatch.setenv("TEMPORAL_NAMESPACE", "default")
            async with open_resources() as resources, running_workers():
                await add(resources, "user", 60)
                backfills = Backfills(resources.temporal)
                await backfills.start_all("user", {"max_per_second": 5, "batch_size": 2, "only_missing": True})
                # Each pause ends a step, and so fills the history.
                for least in (4, 8, 12):
                    await until(lambda least=least: written(resources, least))  # type: ignore[misc]
                    await backfills.pause(USERS)
                    await until(lambda: stands(resources))
                    await backfills.resume(USERS)
                await backfills.set_rate(USERS, None)
                ended = await asyncio.wait_for(backfills.wait(USERS), 60)
                assert await goes_on_from(resources.temporal, USERS)
    assert ended.result == UsersLoaded(total_users=60, loaded_users=60, failed_users=0, total_memories_created=240)


async def test_every_command_of_the_documentation_works(resources: Resources, worker: None) -> None:
    # More than are loaded until the last command, which is not held back any more when that comes.
    await add(resources, "user", 10_000)
    people = {"id": owner_of("user", "42").id, "external_id": "42", "full_name": "Ana"}
    await change(
        resources, "insert into profiles (id, external_id, full_name) values (:id, :external_id, :full_name)", **people
    )
    await change(
        resources,
        "insert into companies (id, external_id, tax_regime) values (:id, 'acme', 'Pro Pyme')",
        id=owner_of("company", "acme").id,
    )
    program = str(await find_temporal_cli())
    commands = [line for line in DOCS.read_text().splitlines() if line.startswith("temporal ")]
    said: dict[str, list[str]] = {}
    for command in commands:
        _, *args = shlex.split(command)
        if args[1] == "metadata":
            await until(lambda: counted(resources))
        process = await asyncio.create_subprocess_exec(
            program, *args, env=os.environ, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )
        out, _ = await asyncio.wait_for(process.communicate(), 60)
        assert process.returncode == 0, (command, out)
        said.setdefault(args[1], []).append(out.decode())
    assert {word: len(told) for word, told in said.items()} == {
        "start": 4, "query": 2, "metadata": 1, "signal": 2, "update": 2, "describe": 1, "cancel": 1,
    }  # fmt: skip
    assert '"max_per_second":20' in said["query"][0].replace(" ", "")
    assert '"failed_ids"' in said["query"][1].replace(" ", "")
    assert "at most 20 a second" in said["metadata"][0]
    with pytest.raises(WorkflowFailureError) as failure:
        await asyncio.wait_for(resources.temporal.get_workflow_handle(USERS).result(), 60)
    assert isinstance(failure.value.cause, CancelledError)
    backfills = Backfills(resources.temporal)
    for one in ("load-user-memories:42", "load-company-memories:acme"):
        assert (await asyncio.wait_for(backfills.wait(one), 60)).state == "done"


async def counted(resources: Resources) -> bool:
    """Tell whether the load has said how far it is: first it counts."""
    progress = (await Backfills(resources.temporal).describe(USERS)).progress
    return progress is not None and progress.total is not None


async def test_nothing_that_a_row_says_enters_temporal(
    resources: Resources, worker: None, model: OpenAIServer, caplog: pytest.LogCaptureFixture
) -> None:
    await add(resources, "user", 6)
    await change(resources, f"update profiles set full_name = '{CANARY}', phone = repeat('{CANARY}', 3000)")  # noqa: S608
    model.refuses = lambda request: Status(400) if f"es {CANARY}" in str(request) else None
    ended = await load_all(resources, "user")
    assert ended.result == UsersLoaded(total_users=6, loaded_users=0, failed_users=6, total_memories_created=12)
    one = await Backfills(resources.temporal).start_one("user", ended.failed_ids[0])
    await Backfills(resources.temporal).wait(one)
    found = []
    for run in await listed_runs(resources.temporal, USERS, one):
        handle = resources.temporal.get_workflow_handle(run.id, run_id=run.run_id)
        found.append(json.dumps((await handle.fetch_history()).to_json()))
    assert CANARY not in "".join(found)
    assert CANARY not in caplog.text
    assert f"user:{ended.failed_ids[0]} was not loaded" in caplog.text
