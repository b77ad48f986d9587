import asyncio
from pathlib import Path

import pytest

from services.resources import Resources
from services.worker.run import running_workers
from tests.support.command_line import CommandLine
from tests.support.exports import write_lines


async def _line(process: asyncio.subprocess.Process) -> str:
    assert process.stderr is not None
    async with asyncio.timeout(60):
        return (await process.stderr.readline()).decode()


@pytest.mark.slow
async def test_who_waits_for_a_worker_is_told_so_and_sees_the_end_when_one_comes(
    import_folder: Path, resources: Resources, afterturn: CommandLine, tmp_path: Path
) -> None:
    file = write_lines(tmp_path / "chat.jsonl", range(4))
    waiting = {
        "the import": await afterturn.start("import", str(file), "--user", "42"),
        "the load": await afterturn.start("backfill", "users"),
    }
    try:
        for run, process in waiting.items():
            assert f"no worker answers; {run} goes on when one does (`afterturn worker`)" in await _line(process)
        async with running_workers():
            for process in waiting.values():
                out, err = await asyncio.wait_for(process.communicate(), 60)
                assert (process.returncode, err) == (0, b""), err
                assert out
    finally:
        for process in waiting.values():
            if process.returncode is None:
                process.kill()
                await process.wait()
    assert len(await resources.rooms.messages("user:42")) == 4
