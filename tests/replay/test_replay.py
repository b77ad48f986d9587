"""Every stored history must replay against today's code: else runs that are open at a deploy would hang."""

import re
from pathlib import Path

import pytest
from temporalio.client import WorkflowHistory
from temporalio.contrib.pydantic import pydantic_data_converter

from services.worker.queues import WORKFLOWS
from services.worker.replaying import replayer
from tests.support.clock_workflow import ReadsAClock

HISTORIES = sorted((Path(__file__).parent / "histories").glob("*.json"))
WAYS_OUT = {
    "room_memory": {
        "one_burst", "nothing_buffered", "messages_meanwhile", "digest_already_at_work", "flushed", "cancelled",
        "cancelled_in_wait", "terminated", "redis_away", "wrong_input", "continued", "kept_short",
        "one_burst_released_apart", "messages_meanwhile_released_apart", "cancelled_released_apart",
        "one_burst_waking_apart", "messages_meanwhile_waking_apart", "cancelled_waking_apart",
        "cancelled_in_wait_waking_apart", "flushed_waking_apart", "kept_short_waking_apart", "continued_waking_apart",
    },
    "room_digest": {
        "one_chunk", "nothing_left", "woken_at_work", "split_and_quarantined", "cancelled", "continued",
        "memories_saved", "memories_saved_at_once", "memories_left_by_another_run", "cancelled_while_saving",
        "kept_short",
    },
    "process_rooms": {"swept"},
    "reconcile_mem0": {
        "pages", "cancelled", "terminated", "wrong_input", "continued", "finished_after_another_run",
    },
    "load_user_memories": {"finished", "unknown_owner"},
    "load_company_memories": {"finished", "unknown_owner"},
    "load_all_companies_memories": {"finished"},
    "load_all_users_memories": {
        "finished", "paused_and_slowed", "cancelled", "cancelled_in_pause", "terminated", "wrong_input", "continued",
        "finished_after_another_run",
    },
    "reembed": {
        "paused_and_switched", "current_already", "cancelled", "terminated", "unknown_model", "wrong_input",
        "continued", "finished_after_another_run",
    },
    "clean_up_memory": {
        "finished", "cancelled", "terminated", "wrong_input", "continued", "finished_after_another_run",
    },
    "optimize_memory": {
        "finished", "cancelled", "terminated", "wrong_input", "continued", "finished_after_another_run",
        "finished_before_packing", "finished_after_another_run_before_packing",
    },
    "sync_memory": {
        "finished", "cancelled", "terminated", "wrong_input", "continued", "finished_after_another_run",
    },
    "analyze_memory": {"finished", "wrong_input"},
    "deliver_webhooks": {
        "delivered_after_an_outage", "removed", "cancelled", "terminated", "wrong_input", "continued",
        "finished_after_another_run",
    },
    "reconcile_memory": {
        "looked_at", "hinted_meanwhile", "cancelled", "cancelled_in_wait", "terminated", "wrong_input", "continued",
        "finished_after_another_run",
    },
    "forget_owner": {"finished", "cancelled", "terminated", "wrong_input"},
    "import_history": {
        "finished", "paused_and_slowed", "cancelled", "cancelled_in_pause", "no_messages", "wrong_input", "terminated",
        "continued", "finished_after_another_run",
    },
}  # fmt: skip


def test_every_way_out_has_a_history() -> None:
    stored = {path.stem for path in HISTORIES}
    assert stored >= {f"{workflow}.{way}" for workflow, ways in WAYS_OUT.items() for way in ways}


def test_every_workflow_has_a_history() -> None:
    """Workers run without the sandbox: it is here that a workflow is held to what it forbids."""
    snake_case = {re.sub(r"(?<!^)(?=[A-Z])", "_", one.__name__).lower() for one in WORKFLOWS}
    assert snake_case == set(WAYS_OUT)


def stored(path: Path) -> WorkflowHistory:
    return WorkflowHistory.from_json(path.stem, path.read_text())


@pytest.mark.parametrize("path", HISTORIES, ids=lambda path: path.stem)
async def test_a_stored_history_replays(path: Path) -> None:
    await replayer("default", pydantic_data_converter).replay_workflow(stored(path))


async def test_a_workflow_that_reads_a_clock_is_found() -> None:
    path = next(path for path in HISTORIES if path.stem.startswith("room_memory."))
    reading = replayer("default", pydantic_data_converter, [ReadsAClock])
    replayed = await reading.replay_workflow(stored(path), raise_on_replay_failure=False)
    assert "time.time" in str(replayed.replay_failure)
