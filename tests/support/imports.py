"""Starts imports, and reads what they brought."""

from pathlib import Path
from typing import Any

import pytest
from temporalio.client import WorkflowHandle

from activities.import_steps import ImportResult
from services.resources import Resources
from workflows.import_history import ImportHistory
from workflows.names import IMPORT_HISTORY, MEMORY_QUEUE, import_history_id

Handle = WorkflowHandle[ImportHistory, ImportResult]


@pytest.fixture
def import_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of this test's workers."""
    folder = tmp_path / "imports"
    folder.mkdir()
    monkeypatch.setenv("IMPORT_FOLDER", str(folder))
    return folder


async def start_import(resources: Resources, source: str, import_id: str = "1", **fields: Any) -> Handle:
    return await resources.temporal.start_workflow(
        IMPORT_HISTORY,
        {"source": source, **fields},
        id=import_history_id(import_id),
        task_queue=MEMORY_QUEUE,
        result_type=ImportResult,
    )


async def imported(resources: Resources, source: str, import_id: str = "1", **fields: Any) -> ImportResult:
    return await (await start_import(resources, source, import_id, **fields)).result()


async def everything(resources: Resources) -> dict[str, list[tuple[int, str, str, str]]]:
    """All rooms with their messages, and what is in quarantine."""
    found = {
        state.room_id: [
            (message.seq, message.id, message.content, message.sent_at.isoformat())
            for message in await resources.rooms.messages(state.room_id)
        ]
        for state in await resources.rooms.list_rooms()
    }
    aside = await resources.quarantine.list_open(limit=10_000)
    return found | {"quarantine": sorted((item.position, str(item.id), item.reason, item.detail) for item in aside)}
