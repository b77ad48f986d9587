"""What operators do with an import that runs, and what it leaves to live chat."""

import asyncio
import json
import os
import re
import shlex
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from afterturn_client.memory_client import MemoryClient
from afterturn_client.names import LLM_QUEUE
from temporalio.api.enums.v1 import EventType, TaskQueueType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest
from temporalio.client import WorkflowFailureError, WorkflowUpdateFailedError
from temporalio.exceptions import CancelledError

from activities.priorities import BACKLOG, LIVE
from services.embedded.temporal_cli import find_temporal_cli
from services.resources import Resources, open_resources
from services.worker.run import running_workers
from tests.support.exports import chat, line, write_conversations, write_lines
from tests.support.imports import Handle, everything, imported, start_import
from tests.support.listed_runs import goes_on_from, listed_runs
from tests.support.openai_server import OpenAIServer
from tests.support.rooms import until_digested
from tests.support.servers import SmallHistories, short_folder
from workflows.import_history import ImportHistory
from workflows.names import import_history_id
from workflows.pacing import Progress, RateInput

DOCS = Path(__file__).parents[2] / "docs" / "importing.md"
CANARY = "xylophonecanary"


async def until(condition: Callable[[], Awaitable[bool]], seconds: float = 60) -> None:
    async with asyncio.timeout(seconds):
        while not await condition():
            await asyncio.sleep(0.1)


async def progress(handle: Handle) -> Progress:
    return await handle.query(ImportHistory.progress)


async def details(resources: Resources, handle: Handle) -> str:
    found = await resources.temporal.get_workflow_handle(handle.id).query("__temporal_workflow_metadata")
    return str(found)


async def test_an_import_is_paused_slowed_and_resumed(import_folder: Path, resources: Resources, worker: None) -> None:
    write_lines(import_folder / "chat.jsonl", range(400))
    handle = await start_import(resources, "chat.jsonl", user_id="42", max_per_second=20)
    await until(lambda: has_a_page_behind_it(handle))
    await handle.signal(ImportHistory.pause)
    assert (await progress(handle)).paused
    await until(lambda: stands(resources, handle))
    paused = await progress(handle)
    assert 0 < paused.done < 400
    assert paused.share is not None
    assert 0 < paused.share < 1
    assert paused.total is None
    assert "paused" in await details(resources, handle)

    slowed = await handle.execute_update(ImportHistory.set_rate, RateInput(max_per_second=0.5))
    assert (slowed.max_per_second, slowed.paused) == (0.5, True)
    await handle.signal(ImportHistory.resume)
    await until(lambda: done(handle, paused.done + 1))
    assert (await progress(handle)).done <= paused.done + 10
    assert "at most 0.5 a second" in await details(resources, handle)

    await handle.execute_update(ImportHistory.set_rate, RateInput(max_per_second=None))
    result = await asyncio.wait_for(handle.result(), 60)
    assert (result.messages_added, result.repeated, result.quarantined) == (400, 0, 0)
    ended = await progress(handle)
    assert (ended.done, ended.failed, ended.share, ended.eta_seconds) == (400, 0, 1.0, 0.0)


async def done(handle: Handle, least: int) -> bool:
    return (await progress(handle)).done >= least


async def has_a_page_behind_it(handle: Handle) -> bool:
    return ((await progress(handle)).share or 0) > 0


async def stands(resources: Resources, handle: Handle) -> bool:
    """Tell whether no step is at work any more."""
    description = await resources.temporal.get_workflow_handle(handle.id).describe()
    return len(description.raw_description.pending_activities) == 0


@pytest.mark.parametrize(
    ("rate", "words"),
    [
        ({"max_per_second": 0}, "max_per_second"),
        ({"max_per_second": "fast"}, "max_per_second"),
        ({"max_per_secnod": 5}, "max_per_sec"),
        ({}, "max_per_second"),
    ],
)
async def test_a_wrong_rate_is_refused_and_changes_nothing(
    import_folder: Path, resources: Resources, worker: None, rate: dict[str, Any], words: str
) -> None:
    write_lines(import_folder / "chat.jsonl", range(400))
    handle = await start_import(resources, "chat.jsonl", user_id="42", max_per_second=20)
    with pytest.raises(WorkflowUpdateFailedError) as refused:
        await handle.execute_update("set_rate", rate)
    assert words in str(refused.value.cause)
    assert (await progress(handle)).max_per_second == 20
    await handle.cancel()
    with pytest.raises(WorkflowFailureError):
        await handle.result()


async def test_a_cancelled_import_keeps_what_is_archived_and_a_new_one_brings_the_rest(
    import_folder: Path, resources: Resources, worker: None
) -> None:
    (import_folder / "copied").mkdir()
    copy = write_lines(import_folder / "copied" / "chat.jsonl", range(300))
    handle = await start_import(resources, "copied/chat.jsonl", user_id="42", max_per_second=20)
    await until(lambda: done(handle, 1))
    await handle.cancel()
    with pytest.raises(WorkflowFailureError) as failure:
        await asyncio.wait_for(handle.result(), 60)
    assert isinstance(failure.value.cause, CancelledError)
    assert not copy.exists()
    kept = len(await resources.rooms.messages("user:42"))
    assert 0 < kept < 300
    write_lines(import_folder / "chat.jsonl", range(300))
    again = await imported(resources, "chat.jsonl", user_id="42")
    assert (again.messages_added, again.repeated) == (300 - kept, kept)
    assert [message.content for message in await resources.rooms.messages("user:42")] == [
        f"says {number}" for number in range(300)
    ]


async def test_no_cancellation_is_swallowed_whenever_it_comes(
    import_folder: Path, resources: Resources, worker: None
) -> None:
    write_lines(import_folder / "chat.jsonl", range(1_000))

    async def cancelled(number: int) -> bool:
        handle = await start_import(resources, "chat.jsonl", str(number), room_id=f"room:r{number}", max_per_second=10)
        await asyncio.sleep(number / 50)
        await handle.cancel()
        with pytest.raises(WorkflowFailureError) as failure:
            await asyncio.wait_for(handle.result(), 40)
        return isinstance(failure.value.cause, CancelledError)

    assert all(await asyncio.gather(*(cancelled(number) for number in range(30))))


async def test_a_long_import_continues_as_new_and_forgets_nothing(
    import_folder: Path, environment: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_lines(import_folder / "chat.jsonl", [*range(60), *range(5)])
    with short_folder() as folder:
        async with SmallHistories(folder) as server:
            monkeypatch.setenv("TEMPORAL_ADDRESS", server.address)
            monkeypatch.setenv("TEMPORAL_NAMESPACE", "default")
            async with open_resources() as resources, running_workers():
                handle = await start_import(resources, "chat.jsonl", user_id="42", max_per_second=4)
                result = await asyncio.wait_for(handle.result(), 60)
                ended = await progress(handle)
                assert await goes_on_from(resources.temporal, handle.id)
    assert (result.conversations, result.messages_added, result.repeated) == (1, 60, 5)
    assert (ended.done, ended.max_per_second) == (65, 4)


async def test_live_chat_is_digested_ahead_of_a_backlog_of_imported_rooms(
    import_folder: Path,
    resources: Resources,
    memory: MemoryClient,
    model: OpenAIServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MAX_CONCURRENT_MODEL_CALLS", "1")
    free, asked = asyncio.Event(), asyncio.Event()

    async def answer(_: dict[str, Any]) -> str:
        asked.set()
        await free.wait()
        return "They said something."

    model.answer = answer
    write_conversations(import_folder / "old.jsonl", conversations=30, messages=2)
    async with running_workers():
        await imported(resources, "old.jsonl", user_id="42")
        await asyncio.wait_for(asked.wait(), 60)
        await memory.record_turn("user:live", user="A live question", assistant="A live answer")
        await until(lambda: archived(resources, "user:live"))
        # One is with the model, the others and the live one are in the queue.
        await until(lambda: queued(resources, 30, live=1))
        free.set()
        for room in ("user:live", *(f"room:c{number}" for number in range(30))):
            await until_digested(resources, room, 2)
    bodies = [json.dumps(body) for route, body in model.requests if "completions" in route]
    first_live = next(number for number, body in enumerate(bodies) if "A live question" in body)
    before = {match[0] for body in bodies[:first_live] for match in [re.search(r"says \d+", body)] if match}
    assert len(before) == 1, before


async def test_a_digest_comes_forward_when_its_imported_room_is_talked_in(
    import_folder: Path,
    resources: Resources,
    memory: MemoryClient,
    model: OpenAIServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CHUNK_MESSAGES", "2")
    free = asyncio.Event()

    async def answer(_: dict[str, Any]) -> str:
        await free.wait()
        return "They said something."

    model.answer = answer
    write_conversations(import_folder / "old.jsonl", conversations=1, messages=8)
    digest = resources.temporal.get_workflow_handle("room-digest:room:c0")
    async with running_workers():
        await imported(resources, "old.jsonl", user_id="42")
        await memory.record_turn("room:c0", user="A live question", assistant="An answer", user_id="42")
        await until(lambda: is_signalled(resources, digest.id))
        free.set()
        await until_digested(resources, "room:c0", 10)
    events = (await digest.fetch_history()).events
    assert events[0].workflow_execution_started_event_attributes.priority.priority_key == BACKLOG
    steps = [
        event.activity_task_scheduled_event_attributes
        for event in events
        if event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED
    ]
    asked = [step.priority.priority_key for step in steps if step.activity_type.name == "digest_next"]
    assert asked[0] in (0, BACKLOG)  # as the run itself
    assert set(asked[1:]) == {LIVE}


async def is_signalled(resources: Resources, workflow_id: str) -> bool:
    history = await resources.temporal.get_workflow_handle(workflow_id).fetch_history()
    return any(event.event_type == EventType.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED for event in history.events)


async def archived(resources: Resources, room_id: str) -> bool:
    return bool(await resources.rooms.list_rooms(room_id=room_id))


async def queued(resources: Resources, steps: int, *, live: int) -> bool:
    """Tell whether so many of the model's steps wait for a worker, and so many of them ahead of the backlog."""
    queue = await resources.temporal.workflow_service.describe_task_queue(
        DescribeTaskQueueRequest(
            namespace=resources.temporal.namespace,
            task_queue=TaskQueue(name=LLM_QUEUE),
            task_queue_type=TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY,
            report_stats=True,
        )
    )
    ahead = [stats for priority, stats in queue.stats_by_priority_key.items() if priority < BACKLOG]
    return (
        queue.stats.approximate_backlog_count >= steps
        and sum(stats.approximate_backlog_count for stats in ahead) >= live
    )


async def test_no_content_of_a_file_enters_temporal(import_folder: Path, resources: Resources, worker: None) -> None:
    lines = [line(number, content=CANARY, metadata={"note": CANARY}) for number in range(3)]
    bad = [f'{{"role": "{CANARY}"}}\n', f"{CANARY}\n", line(1, content=f"{CANARY} again"), '{"id": "m0"}\n']
    (import_folder / "chat.jsonl").write_text("".join([*lines, *bad]))
    (import_folder / "chats.json").write_text(json.dumps([chat("c", 1) | {"title": CANARY, "mapping": {CANARY: 1}}]))
    (import_folder / "letter.txt").write_text(CANARY)
    result = await imported(resources, "chat.jsonl", user_id="42")
    assert (result.messages_added, result.quarantined) == (3, 4)
    await imported(resources, "chats.json", "2", user_id="42")
    with pytest.raises(WorkflowFailureError):
        await imported(resources, "letter.txt", "3", user_id="42")
    found = []
    for run in await listed_runs(resources.temporal, *map(import_history_id, "123")):
        handle = resources.temporal.get_workflow_handle(run.id, run_id=run.run_id)
        found.append((await handle.fetch_history()).to_json())
    assert CANARY not in "".join(found)
    assert CANARY not in "".join(item[3] for item in (await everything(resources))["quarantine"])


async def test_every_command_of_the_documentation_works(
    import_folder: Path, resources: Resources, worker: None
) -> None:
    (import_folder / "conversations.json").write_text(json.dumps([chat(f"c{number}", 20) for number in range(300)]))
    program = str(await find_temporal_cli())
    commands = [text for text in DOCS.read_text().splitlines() if text.startswith("temporal ")]
    assert len(commands) >= 7
    said = {}
    for command in commands:
        _, *args = shlex.split(command)
        process = await asyncio.create_subprocess_exec(
            program, *args, env=os.environ, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )
        out, _ = await asyncio.wait_for(process.communicate(), 60)
        assert process.returncode == 0, (command, out)
        said[" ".join(args[1:2])] = out.decode()
    assert '"max_per_second":50' in said["query"].replace(" ", "")
    assert "at most 50 a second" in said["metadata"]
    handle = resources.temporal.get_workflow_handle("import-history:old-chats")
    with pytest.raises(WorkflowFailureError) as failure:
        await asyncio.wait_for(handle.result(), 60)
    assert isinstance(failure.value.cause, CancelledError)
