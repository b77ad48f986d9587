"""The main job from end to end, by one command."""

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pytest

from services.embedded.ports import free_port
from services.resources import Resources
from tests.support.command_line import CommandLine
from tests.support.rooms import keys_left

SAMPLE_MESSAGES = 72


def conversation(folder: Path) -> Path:
    file = folder / "chat.jsonl"
    said = [
        ("user", "I moved from Santiago to Lima last Tuesday with my cat Nube."),
        ("assistant", "Noted: you live in Lima now, with Nube."),
        ("user", "My accountant is called Rosa and she works on Mondays."),
        ("assistant", "Rosa, on Mondays."),
    ]
    file.write_text("".join(json.dumps({"role": role, "content": text}) + "\n" for role, text in said))
    return file


async def test_the_sample_is_replayed_twice_and_stored_once(
    worker: None, resources: Resources, afterturn: CommandLine
) -> None:
    first = await afterturn("demo", "--my-servers", "--json")
    assert first.code == 0, first.err
    report = first.document
    assert report["complete"] is True
    assert (report["known_already"], report["messages"]) == (0, SAMPLE_MESSAGES)
    assert report["models"] == {"summary": "chat-model", "embedding": "embedding-model"}
    assert report["summary"]["made_by"] in ("model", "extractive")
    assert {"servers", "buffered", "archived", "digested", "searches"} == set(report["seconds"])
    assert len(report["searches"]) > 5

    second = await afterturn("demo", "--my-servers")
    assert second.code == 0
    assert f"{SAMPLE_MESSAGES} messages were known already" in second.out
    for title in ("Models", "The room's summary", "Its parts", "Searches", "Counts"):
        assert title in second.out
    assert len(await resources.rooms.messages("user:demo")) == SAMPLE_MESSAGES
    assert await resources.quarantine.list_open() == []
    assert await keys_left(resources) == []


async def test_a_wrong_file_is_refused_before_anything_starts(afterturn: CommandLine, tmp_path: Path) -> None:
    file = conversation(tmp_path)
    file.write_text(file.read_text() + '{"role": "robot", "content": "hi"}\n')
    refused = await afterturn("demo", str(file))
    assert (refused.code, refused.out) == (2, "")
    assert "chat.jsonl, line 5: role: takes user, assistant, tool or system" in refused.err
    missing = await afterturn("demo", str(tmp_path / "none.jsonl"))
    assert missing.code == 2
    assert "FILE: takes a file that can be read" in missing.err


@pytest.fixture
def own_ports(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep away from a stack that runs on this machine, and from servers that the environment names."""
    for variable in ("REDIS_PORT", "TEMPORAL_PORT", "TEMPORAL_UI_PORT", "LLM_PROXY_PORT", "MEMORY_API_PORT"):
        monkeypatch.setenv(variable, str(free_port()))
    for variable in ("DATABASE_URL", "REDIS_URL", "TEMPORAL_ADDRESS", "LLM_PROXY_URL"):
        monkeypatch.delenv(variable, raising=False)


@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_the_embedded_stack_is_started_or_used_and_leaves_nothing_running(
    own_ports: None, afterturn: CommandLine, tmp_path: Path
) -> None:
    file = conversation(tmp_path)
    first = await afterturn.process("demo", str(file), "--json")
    assert first.code == 0, first.err
    assert processes_of(tmp_path) == []

    async with up(afterturn) as addresses:
        second = await afterturn.process("demo", str(file), "--json")
        assert second.code == 0, second.err
        again = await afterturn.process("up", "--json")
        assert (again.code, again.document) == (1, addresses)
        assert "already runs" in again.err
        listed = await afterturn.process("rooms", "--json")
        assert [room["messages"] for room in listed.document["rooms"]] == [4]
        healthy = await afterturn.process("doctor", "--json")
        assert healthy.code == 0, healthy.out

    reports = [first.document, second.document]
    assert [report["known_already"] for report in reports] == [0, 4]
    assert [report["messages_in_room"] for report in reports] == [4, 4]
    assert reports[0]["summary"] == reports[1]["summary"]
    assert all(search["found"] for search in reports[0]["searches"])
    assert reports[0]["models"]["embedding"] == reports[1]["models"]["embedding"] == "multilingual-e5-small"
    assert processes_of(tmp_path) == []


@asynccontextmanager
async def up(afterturn: CommandLine) -> AsyncIterator[dict[str, str]]:
    """Run the stack in the foreground, and end it as Ctrl-C does."""
    process = await afterturn.start("up", "--json")
    try:
        assert process.stdout is not None
        addresses = await asyncio.wait_for(process.stdout.readuntil(b"\n}\n"), 170)
        yield json.loads(addresses)
        process.send_signal(signal.SIGINT)
        await asyncio.wait_for(process.communicate(), 60)
        assert process.returncode == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def processes_of(folder: Path) -> list[psutil.Process]:
    return [process for process in psutil.process_iter() if _is_of(process, folder)]


def _is_of(process: psutil.Process, folder: Path) -> bool:
    try:
        return str(folder) in " ".join(process.cmdline()) or process.cwd().startswith(str(folder))
    except psutil.Error:
        return False
