import json
import zipfile
from pathlib import Path

from afterturn_client.memory_client import MemoryClient

from services.resources import Resources
from tests.support.command_line import CommandLine
from tests.support.rooms import until_digested


async def test_a_person_is_exported_and_then_forgotten_when_that_is_meant(
    worker: None, resources: Resources, memory: MemoryClient, afterturn: CommandLine, tmp_path: Path
) -> None:
    await memory.record_turn("user:ana", user="I live in Lima.", assistant="Noted!")
    await until_digested(resources, "user:ana", 2, seconds=90)

    file = tmp_path / "ana.zip"
    written = await afterturn("export", "user", "ana", "-o", str(file), "--json")
    assert written.code == 0
    assert written.document == {"owner": "user:ana", "file": str(file), "bytes": file.stat().st_size}
    with zipfile.ZipFile(file) as archive:
        said = [json.loads(line)["content"] for line in archive.read("messages.jsonl").splitlines()]
    assert said == ["I live in Lima.", "Noted!"]

    refused = await afterturn("forget", "user", "ana", stdin="n\n")
    assert refused.code == 130
    assert "for good?" in refused.err
    assert len(await resources.rooms.messages("user:ana")) == 2

    done = await afterturn("forget", "user", "ana", stdin="y\n")
    assert done.code == 0
    assert "user ana is forgotten" in done.out
    assert "erasing in Postgres" in done.err or "stopping" in done.err
    assert await resources.rooms.messages("user:ana") == []
    again = await afterturn("forget", "user", "ana", "--yes", "--json")
    assert again.code == 0
    assert (again.document["owner_id"], again.document["own_row"], again.document["erased"]) == ("ana", "none", {})


async def test_what_is_no_id_or_no_file_is_refused(environment: None, afterturn: CommandLine, tmp_path: Path) -> None:
    wrong = await afterturn("forget", "company", "not an id", "--yes")
    assert wrong.code == 2
    assert "company_id: takes" in wrong.err
    nowhere = await afterturn("export", "user", "ana", "-o", str(tmp_path / "none" / "ana.zip"))
    assert nowhere.code == 2
    assert "--output: takes a file that can be written" in nowhere.err
    assert (await afterturn("forget")).code == 2
