"""Finds Temporal's command line program: on PATH, else by the SDK's own download, else built from its Go module.

What was downloaded or built is kept in the user's cache folder, so that other checkouts find it.
"""

import asyncio
import fcntl
import os
import re
import shutil
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from temporalio.testing import WorkflowEnvironment

from services.embedded.errors import ProgramMissingError
from services.embedded.steps import OnStep, silent

CLI_VERSION = "1.5.1"
_MODULE = f"github.com/temporalio/cli/cmd/temporal@v{CLI_VERSION}"
# Autoscaling pollers and fairness need this one.
OLDEST_SERVER = (1, 29)
_DOWNLOAD_SECONDS = 90
_BUILD_SECONDS = 1_200
_SAY_EVERY_SECONDS = 10
_NAME = "Temporal CLI"


# Puts the program into the folder that it is given and returns its place; None when it cannot be had that way.
Source = Callable[[Path, OnStep], Awaitable[Path | None]]


async def find_temporal_cli(
    cache: Path | None = None,
    on_step: OnStep = silent,
    *,
    path: str | None = None,
    sources: Sequence[Source] | None = None,
) -> Path:
    """Return the program, getting it first where this machine has none yet; that can take minutes."""
    if on_path := shutil.which("temporal", path=path):
        if await _is_new_enough(Path(on_path)):
            return Path(on_path)
        on_step(_NAME, "note", f"{on_path} is older than server {'.'.join(map(str, OLDEST_SERVER))}: passed over")
    folder = (cache or cache_folder()) / f"temporal-{CLI_VERSION}"
    program = folder / "temporal"
    if program.exists():
        return program
    folder.mkdir(parents=True, exist_ok=True)
    async with _locked(folder / "lock", on_step):
        if not program.exists():
            await _get(program, sources or (_download, _build), on_step)
    return program


def cache_folder() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "afterturn"


async def _get(program: Path, sources: Sequence[Source], on_step: OnStep) -> None:
    # In the same folder, so that moving it into place is one step that cannot be seen half done.
    with tempfile.TemporaryDirectory(dir=program.parent, prefix=".new-") as draft:
        for source in sources:
            if made := await source(Path(draft), on_step):
                made.chmod(0o755)
                made.replace(program)
                on_step(_NAME, "ready", f"kept in {program}")
                return
    raise ProgramMissingError(
        "Temporal's CLI cannot be downloaded from here, and there is no Go to build it with: "
        "put `temporal` on the PATH, or install Go"
    )


async def _download(draft: Path, on_step: OnStep) -> Path | None:
    on_step(_NAME, "working", "downloading it by the SDK")
    try:
        async with asyncio.timeout(_DOWNLOAD_SECONDS):
            server = await WorkflowEnvironment.start_local(download_dest_dir=str(draft))
            await server.shutdown()
    except (RuntimeError, TimeoutError):
        on_step(_NAME, "note", "it cannot be downloaded from here")
        return None
    return await asyncio.to_thread(_program_in, draft)


def _program_in(folder: Path) -> Path | None:
    return next((path for path in folder.iterdir() if path.is_file() and os.access(path, os.X_OK)), None)


async def _build(draft: Path, on_step: OnStep) -> Path | None:
    go = shutil.which("go")
    if go is None:
        return None
    on_step(_NAME, "working", f"building {CLI_VERSION} with Go; this takes some minutes, once")
    log = draft.parent / "build.log"
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            go, "install", _MODULE, env={**os.environ, "GOBIN": str(draft)}, stdout=output, stderr=output
        )
        try:
            await _say_while(process, on_step)
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
    if process.returncode:
        raise ProgramMissingError(f"Temporal's CLI could not be built with Go; see {log}")
    return draft / "temporal"


async def _say_while(process: asyncio.subprocess.Process, on_step: OnStep) -> None:
    started = time.monotonic()
    async with asyncio.timeout(_BUILD_SECONDS):
        while True:
            try:
                await asyncio.wait_for(process.wait(), _SAY_EVERY_SECONDS)
            except TimeoutError:
                on_step(_NAME, "working", f"building {CLI_VERSION} with Go, {time.monotonic() - started:.0f} s")
            else:
                return


async def _is_new_enough(program: Path) -> bool:
    process = await asyncio.create_subprocess_exec(
        program, "--version", stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
    )
    output, _ = await process.communicate()
    found = re.search(rb"Server (\d+)\.(\d+)", output)
    return found is not None and (int(found[1]), int(found[2])) >= OLDEST_SERVER


@asynccontextmanager
async def _locked(path: Path, on_step: OnStep) -> AsyncIterator[None]:
    with path.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            on_step(_NAME, "working", "another process is getting it; waiting")
            await asyncio.to_thread(fcntl.flock, lock, fcntl.LOCK_EX)
        yield


def _say(name: str, state: str, detail: str) -> None:
    sys.stderr.write(f"{name}: {state}: {detail}\n")


if __name__ == "__main__":
    try:
        sys.stdout.write(f"{asyncio.run(find_temporal_cli(on_step=_say))}\n")
    except ProgramMissingError as error:
        sys.exit(str(error))
