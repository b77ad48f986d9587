import asyncio
import os
from pathlib import Path

import pytest

from services.embedded.errors import ProgramMissingError
from services.embedded.steps import OnStep
from services.embedded.temporal_cli import CLI_VERSION, find_temporal_cli


class Source:
    """A place that has the program, or has not."""

    def __init__(self, *, has_it: bool) -> None:
        self.asked = 0
        self._has_it = has_it

    async def __call__(self, draft: Path, on_step: OnStep) -> Path | None:
        self.asked += 1
        await asyncio.sleep(0.05)
        if not self._has_it:
            on_step("Temporal CLI", "note", "not here")
            return None
        made = draft / "downloaded-under-another-name"
        await asyncio.to_thread(made.write_text, "#!/bin/sh\n")
        return made


def put_on_path(folder: Path, server: str) -> str:
    program = folder / "temporal"
    program.write_text(f"#!/bin/sh\necho 'temporal version 1.2.3 (Server {server}, UI 2.42.1)'\n")
    program.chmod(0o755)
    return str(folder)


async def test_the_one_on_the_path_is_taken(tmp_path: Path) -> None:
    path = put_on_path(tmp_path, "1.29.1")
    assert await find_temporal_cli(tmp_path / "cache", path=path) == tmp_path / "temporal"


async def test_one_that_is_too_old_is_passed_over(tmp_path: Path) -> None:
    path, source = put_on_path(tmp_path, "1.24.2"), Source(has_it=True)
    found = await find_temporal_cli(tmp_path / "cache", path=path, sources=[source])
    assert found == tmp_path / "cache" / f"temporal-{CLI_VERSION}" / "temporal"


async def test_the_next_source_is_asked_and_the_program_is_kept(tmp_path: Path) -> None:
    first, second = Source(has_it=False), Source(has_it=True)
    found = await find_temporal_cli(tmp_path, path="", sources=[first, second])
    assert os.access(found, os.X_OK)
    assert await find_temporal_cli(tmp_path, path="", sources=[first, second]) == found
    assert (first.asked, second.asked) == (1, 1)
    assert {path.name for path in found.parent.iterdir()} == {"temporal", "lock"}


async def test_two_that_need_it_at_once_get_it_once(tmp_path: Path) -> None:
    source = Source(has_it=True)
    found = await asyncio.gather(*(find_temporal_cli(tmp_path, path="", sources=[source]) for _ in range(3)))
    assert len(set(found)) == 1
    assert source.asked == 1


async def test_without_any_source_the_way_out_is_told(tmp_path: Path) -> None:
    with pytest.raises(ProgramMissingError, match="put `temporal` on the PATH, or install Go"):
        await find_temporal_cli(tmp_path, path="", sources=[Source(has_it=False)])
