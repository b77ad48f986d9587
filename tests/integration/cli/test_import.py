import asyncio
import json
import signal
from pathlib import Path

import pytest
from temporalio.client import WorkflowExecutionStatus, WorkflowFailureError
from temporalio.exceptions import CancelledError

from services.resources import Resources
from tests.support.command_line import CommandLine
from tests.support.exports import chat, line, write_lines
from tests.support.listed_runs import until_listed


def chats(path: Path, conversations: int = 3) -> Path:
    path.write_text(json.dumps([chat(f"c{number}", 5) for number in range(conversations)]))
    return path


def copies(folder: Path) -> list[Path]:
    return list((folder / "copied").glob("*"))


async def test_a_file_is_imported_and_a_second_time_changes_nothing(
    import_folder: Path, worker: None, resources: Resources, afterturn: CommandLine, tmp_path: Path
) -> None:
    file = chats(tmp_path / "conversations.json")
    first = await afterturn("import", str(file), "--user", "42", "--json")
    assert first.code == 0
    import_id = first.document.pop("import_id")
    assert first.document | {"import_id": import_id} == {
        "import_id": import_id,
        "workflow_id": f"import-history:{import_id}",
        "state": "done",
        "conversations": 3,
        "messages_added": 30,
        "repeated": 0,
        "quarantined": 0,
    }
    again = await afterturn("import", str(file), "--user", "42")
    assert again.code == 0
    assert "0 messages of 3 conversations are in the archive, 30 were there before" in again.out
    assert [state.messages for state in await resources.rooms.list_rooms()] == [10, 10, 10]
    assert copies(import_folder) == []
    assert file.exists()


async def test_a_file_of_the_import_folder_is_read_where_it_lies_and_stays(
    import_folder: Path, worker: None, resources: Resources, afterturn: CommandLine
) -> None:
    file = write_lines(import_folder / "chat.jsonl", range(3))
    file.write_text(file.read_text() + "{broken\n")
    done = await afterturn("import", str(file), "--room", "user:42", "--company", "acme")
    assert done.code == 0
    assert "1 could not be read: `afterturn quarantine list`" in done.err
    assert len(await resources.rooms.messages("user:42")) == 3
    assert copies(import_folder) == []
    assert file.exists()


async def test_a_start_while_it_runs_is_refused_with_its_id(
    import_folder: Path, worker: None, resources: Resources, afterturn: CommandLine, tmp_path: Path
) -> None:
    file = str(write_lines(tmp_path / "chat.jsonl", range(500)))
    slow = ("import", file, "--user", "42", "--max-per-second", "10", "--json")
    started = await afterturn(*slow, "--no-wait")
    assert (started.code, started.document["state"]) == (0, "started")
    workflow_id = started.document["workflow_id"]
    refused = await afterturn(*slow)
    assert (refused.code, refused.out) == (1, "")
    assert f"{workflow_id} imports this file already" in refused.err
    elsewhere = await afterturn("import", file, "--user", "43", "--json", "--no-wait")
    assert elsewhere.code == 0
    assert elsewhere.document["workflow_id"] != workflow_id
    handle = resources.temporal.get_workflow_handle(workflow_id)
    await handle.cancel()
    with pytest.raises(WorkflowFailureError) as failure:
        await asyncio.wait_for(handle.result(), 60)
    assert isinstance(failure.value.cause, CancelledError)


async def test_ctrl_c_leaves_the_import_running_and_says_how_to_go_on(
    import_folder: Path, worker: None, resources: Resources, afterturn: CommandLine, tmp_path: Path
) -> None:
    file = write_lines(tmp_path / "chat.jsonl", range(400))
    process = await afterturn.start("import", str(file), "--user", "42", "--max-per-second", "10")
    try:
        async with asyncio.timeout(60):
            while not await resources.rooms.list_rooms():
                await asyncio.sleep(0.1)
        process.send_signal(signal.SIGINT)
        _, err = await asyncio.wait_for(process.communicate(), 60)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 130
    [run] = await until_listed(resources.temporal, "WorkflowType = 'ImportHistory'")
    assert "an import that was started goes on" in err.decode()
    assert f"temporal workflow cancel --workflow-id {run.id}" in err.decode()
    assert run.status == WorkflowExecutionStatus.RUNNING
    going_on = resources.temporal.get_workflow_handle(run.id)
    await going_on.execute_update("set_rate", {"max_per_second": None})
    await asyncio.wait_for(going_on.result(), 60)
    assert len(await resources.rooms.messages("user:42")) == 400
    assert copies(import_folder) == []


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("none.json", (), "FILE: takes a file that can be read"),
        ("chats.json", (), "user_id: takes the id of the person whose export this is"),
        ("letter.txt", (), "format: takes jsonl, chatgpt, claude, locomo"),
        ("lines.jsonl", (), "room_id: takes a room, or a user_id"),
        ("lines.jsonl", ("--room", "somewhere"), "room_id: takes"),
        ("lines.jsonl", ("--user", "a@b"), "--user: takes"),
        ("lines.jsonl", ("--user", "42", "--room-prefix", "a b"), "--room-prefix: takes"),
        ("lines.jsonl", ("--user", "42", "--max-per-second", "0"), "--max-per-second"),
        ("lines.jsonl", ("--user", "42", "--format", "csv"), "--format"),
    ],
)
async def test_what_cannot_be_imported_is_refused_before_anything_is_copied(
    import_folder: Path,
    environment: None,
    afterturn: CommandLine,
    tmp_path: Path,
    name: str,
    options: tuple[str, ...],
    words: str,
) -> None:
    chats(tmp_path / "chats.json")
    (tmp_path / "letter.txt").write_text("Dear all")
    (tmp_path / "lines.jsonl").write_text(line(0))
    refused = await afterturn("import", str(tmp_path / name), *options)
    assert (refused.code, refused.out, refused.err.count("\n")) == (2, "", 1), refused
    assert words in refused.err
    assert copies(import_folder) == []


async def test_a_file_that_the_workers_do_not_find_is_told(
    import_folder: Path, worker: None, afterturn: CommandLine, tmp_path: Path
) -> None:
    """Command and worker look into different folders."""
    file = chats(tmp_path / "conversations.json")
    lost = await afterturn("import", str(file), "--user", "42", IMPORT_FOLDER=str(tmp_path / "other"))
    assert lost.code == 1
    assert "source: takes a file that is there: a path inside the import folder (IMPORT_FOLDER)" in lost.err
    assert copies(tmp_path / "other") == []
