"""A real Ollama: its pinned Go module, built once into the user's cache folder.

Building takes 1.5 to 4 minutes and needs Go, gcc and g++. So the tests use what the cache holds, and build only where
`AFTERTURN_TEST_OLLAMA=1` says so; `python -m tests.support.ollama_server` builds it at any time.
"""

import asyncio
import fcntl
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import httpx

from services.embedded.ports import free_port
from services.embedded.temporal_cli import cache_folder

OLLAMA_VERSION = "0.6.5"
_MODULE = f"github.com/ollama/ollama@v{OLLAMA_VERSION}"
_START_SECONDS = 30
_CREATE_SECONDS = 60
_BUILD_SECONDS = 800


def ollama_is_missing() -> str | None:
    """Say why a test of Ollama cannot run here, or None where it can."""
    if _program().exists():
        return None
    if os.environ.get("AFTERTURN_TEST_OLLAMA") != "1":
        return f"Ollama {OLLAMA_VERSION} is not in the cache: NOT tried; AFTERTURN_TEST_OLLAMA=1 builds it, in minutes"
    if missing := [tool for tool in ("go", "gcc", "g++") if shutil.which(tool) is None]:
        return f"Ollama {OLLAMA_VERSION} cannot be built without {', '.join(missing)}: NOT tried"
    return None


def ollama_program() -> Path:
    """Return the program, building it first where it is not there yet."""
    program = _program()
    program.parent.mkdir(parents=True, exist_ok=True)
    with (program.parent / "lock").open("w") as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)
        if not program.exists():
            # In the same folder, so that moving it into place is one step that cannot be seen half done.
            with tempfile.TemporaryDirectory(dir=program.parent, prefix=".new-") as draft:
                _build(Path(draft))
                (Path(draft) / "ollama").rename(program)
    return program


@asynccontextmanager
async def running_ollama(folder: Path, models: dict[str, Path]) -> AsyncIterator[str]:
    """Run a server with these models, made from GGUF files; the value is its address."""
    program = await asyncio.to_thread(ollama_program)
    host = f"127.0.0.1:{free_port()}"
    # It keeps a key pair in its home.
    environment = {**os.environ, "HOME": str(folder), "OLLAMA_HOST": host, "OLLAMA_MODELS": str(folder / "models")}
    log = (folder / "ollama.log").open("wb")
    # A group of its own: each loaded model is a process besides.
    server = await asyncio.create_subprocess_exec(
        program, "serve", env=environment, stdout=log, stderr=log, start_new_session=True
    )
    try:
        await _until_up(f"http://{host}")
        for name, gguf in models.items():
            await _create(program, name, gguf, folder, environment)
        yield f"http://{host}"
    finally:
        server.terminate()
        try:
            await asyncio.wait_for(server.wait(), 10)
        finally:
            _kill_group(server.pid)
            log.close()


async def _until_up(url: str) -> None:
    async with asyncio.timeout(_START_SECONDS), httpx.AsyncClient(base_url=url, trust_env=False) as http:
        while True:
            try:
                await http.get("/api/version")
            except httpx.TransportError:
                await asyncio.sleep(0.05)
            else:
                return


async def _create(program: Path, name: str, gguf: Path, folder: Path, environment: dict[str, str]) -> None:
    description = folder / "Modelfile"
    # Several threads wait for each other, which takes for ever where the cores are busy.
    await asyncio.to_thread(description.write_text, f"FROM {gguf}\nPARAMETER num_thread 1\n")
    process = await asyncio.create_subprocess_exec(
        program, "create", name, "-f", description, env=environment, stderr=asyncio.subprocess.PIPE
    )
    _, said = await asyncio.wait_for(process.communicate(), _CREATE_SECONDS)
    assert process.returncode == 0, said.decode()


def _kill_group(leader: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(leader, signal.SIGKILL)


def _program() -> Path:
    return cache_folder() / f"ollama-{OLLAMA_VERSION}" / "ollama"


def _build(folder: Path) -> None:
    log = folder.parent / "build.log"
    with log.open("wb") as output:
        command = ["go", "install", _MODULE]
        environment = {**os.environ, "GOBIN": str(folder)}
        done = subprocess.run(
            command, env=environment, stdout=output, stderr=output, timeout=_BUILD_SECONDS, check=False
        )
    assert done.returncode == 0, f"Ollama could not be built with Go; see {log}"


if __name__ == "__main__":
    sys.stdout.write(f"{ollama_program()}\n")
