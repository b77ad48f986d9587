"""A real Ollama: see `go_programs`; its build needs gcc and g++ besides."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import httpx

from services.embedded.ports import free_port
from tests.support.go_programs import OLLAMA

_START_SECONDS = 30
_CREATE_SECONDS = 60


@asynccontextmanager
async def running_ollama(folder: Path, models: dict[str, Path]) -> AsyncIterator[str]:
    """Run a server with these models, made from GGUF files; the value is its address."""
    program = await asyncio.to_thread(OLLAMA.build) / "ollama"
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
