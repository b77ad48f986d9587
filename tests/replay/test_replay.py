"""Every stored history must replay against today's code: else runs that are open at a deploy would hang."""

from pathlib import Path

import pytest
from temporalio.client import WorkflowHistory
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.worker import Replayer

from services.worker.run import WORKFLOWS, workflow_runner

HISTORIES = sorted((Path(__file__).parent / "histories").glob("*.json"))
WAYS_OUT = {
    "room_memory": {
        "one_burst", "nothing_buffered", "messages_meanwhile", "digest_already_at_work", "flushed", "cancelled",
        "cancelled_in_wait", "terminated", "redis_away", "wrong_input", "continued",
    },
    "room_digest": {
        "one_chunk", "nothing_left", "woken_at_work", "split_and_quarantined", "cancelled", "continued",
        "memories_saved", "memories_left_by_another_run", "cancelled_while_saving",
    },
    "process_rooms": {"swept"},
    "reconcile_mem0": {
        "pages", "cancelled", "terminated", "wrong_input", "continued", "finished_after_another_run",
    },
    "import_history": {
        "finished", "paused_and_slowed", "cancelled", "cancelled_in_pause", "no_messages", "wrong_input", "terminated",
        "continued", "finished_after_another_run",
    },
}  # fmt: skip


def test_every_way_out_has_a_history() -> None:
    stored = {path.stem for path in HISTORIES}
    assert stored >= {f"{workflow}.{way}" for workflow, ways in WAYS_OUT.items() for way in ways}


def stored(path: Path) -> WorkflowHistory:
    return WorkflowHistory.from_json(path.stem, path.read_text())


@pytest.mark.parametrize("path", HISTORIES, ids=lambda path: path.stem)
async def test_a_stored_history_replays(path: Path) -> None:
    replayer = Replayer(workflows=WORKFLOWS, data_converter=pydantic_data_converter, workflow_runner=workflow_runner())
    await replayer.replay_workflow(stored(path))
