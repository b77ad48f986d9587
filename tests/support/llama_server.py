"""llama.cpp's own server in a process of its own: a real upstream that is not ours.

`python -m tests.support.llama_server NAME KEY [embeddings]` serves SmolLM2 under this name until its input ends, and
prints its address first. llama.cpp counts its requests at `/metrics`.
"""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import xllamacpp

from services.llm_proxy.upstreams.chat_server import smollm2_file

_ROOT = Path(__file__).parents[2]
_START_SECONDS = 60
_ERRORS_ONLY = 1
_MEAN_POOLING = xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_MEAN


@asynccontextmanager
async def running_llama(name: str, key: str, *options: str) -> AsyncIterator[str]:
    """Run the server; the value is its address."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.support.llama_server", name, key, *options,
        cwd=_ROOT, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdin is not None
    try:
        address = await asyncio.wait_for(process.stdout.readline(), _START_SECONDS)
        assert address, "the server did not start"
        yield address.decode().strip()
    finally:
        process.stdin.close()
        try:
            await asyncio.wait_for(process.wait(), 10)
        except TimeoutError:
            process.kill()
            await process.wait()


def serve(name: str, key: str, *options: str) -> None:
    params = xllamacpp.CommonParams()
    params.model.path = str(smollm2_file())
    params.model_alias = {name}
    params.n_parallel = 2
    params.n_ctx = 2048
    # Without it, the second text of a batch gets a wrong vector.
    params.kv_unified = True
    # Several threads wait for each other, which takes for ever where the cores are busy.
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
    # A text that begins as the last one would be pooled from its end alone.
    params.cache_prompt = False
    params.cache_ram_mib = 0
    params.port = 0
    params.api_keys = [key]
    params.endpoint_metrics = True
    params.verbosity = _ERRORS_ONLY
    if "embeddings" in options:
        params.embedding = True
        params.pooling_type = _MEAN_POOLING
    server = xllamacpp.Server(params)
    sys.stdout.write(f"{server.listening_address}\n")
    sys.stdout.flush()
    sys.stdin.read()


if __name__ == "__main__":
    serve(*sys.argv[1:])
