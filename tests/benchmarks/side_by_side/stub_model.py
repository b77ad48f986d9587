"""The model that all sides ask, in a process of its own: `python -m tests.benchmarks.side_by_side.stub_model SECONDS`.

It speaks OpenAI's format, takes SECONDS for a completion and a tenth of that for embeddings, but 0.2 s at the most, and
answers what the conversation bears out. A line on standard input is answered with what was asked of it so far, as JSON;
a number on it is how long completions take from now on.
"""

import asyncio
import json
import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from tests.benchmarks.side_by_side.talk import FACT
from tests.support.openai_server import COMPLETIONS, EMBEDDINGS, OpenAIServer, Slow, hashed_vector

ROOT = Path(__file__).parents[3]
DIMENSIONS = 384
CHARACTERS_A_TOKEN = 4
_NUMBERED = re.compile(rf"^(\d+)\. [^\n]*\bI ({FACT} (\w+) numbered (\d+)[^\n]*)$", re.MULTILINE)
_SAID = re.compile(r"^(?:\d+\. )?(?:user|assistant)[^:\n]*: ([^\n]+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Asked:
    """What a model was asked: requests, and tokens in and out at four characters each."""

    completions: int = 0
    embeddings: int = 0
    tokens: int = 0

    @property
    def calls(self) -> int:
        return self.completions + self.embeddings

    def since(self, before: Self) -> "Asked":
        return Asked(
            self.completions - before.completions, self.embeddings - before.embeddings, self.tokens - before.tokens
        )


class StubModel:
    """Another process' stub."""

    def __init__(self, process: asyncio.subprocess.Process, url: str) -> None:
        self._process = process
        self.url = url

    async def asked(self) -> Asked:
        return Asked(**json.loads(await _line(self._process, "?")))

    async def take(self, seconds: float) -> None:
        await _line(self._process, str(seconds))


@asynccontextmanager
async def running(seconds: float) -> AsyncIterator[StubModel]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        __name__,
        str(seconds),
        cwd=ROOT,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        yield StubModel(process, await _line(process, ""))
    finally:
        process.kill()
        await process.wait()


async def _line(process: asyncio.subprocess.Process, said: str) -> str:
    assert process.stdin
    assert process.stdout
    if said:
        process.stdin.write(f"{said}\n".encode())
    return (await process.stdout.readline()).decode().strip()


class Stub:
    def __init__(self, seconds: float) -> None:
        self.tokens = 0
        self.server = OpenAIServer(answer=self._answer, embed=self._embed)
        self.take(seconds)

    def take(self, seconds: float) -> None:
        self._seconds = seconds
        self.server.refuses = lambda request: Slow(min(0.2, seconds / 10)) if seconds and "input" in request else None

    async def _answer(self, request: dict[str, Any]) -> str:
        shown = str(request["messages"][-1]["content"])
        await asyncio.sleep(self._seconds)
        said = _memories(shown) if "response_format" in request else _summary(shown)
        self.tokens += (sum(len(str(one["content"])) for one in request["messages"]) + len(said)) // CHARACTERS_A_TOKEN
        return said

    def _embed(self, text: str, request: dict[str, Any]) -> list[float]:
        self.tokens += len(text) // CHARACTERS_A_TOKEN
        return hashed_vector(text, {**request, "dimensions": 8}) * (DIMENSIONS // 8)

    def asked(self) -> str:
        calls = self.server.calls
        self.server.requests.clear()
        return json.dumps({"completions": calls[COMPLETIONS], "embeddings": calls[EMBEDDINGS], "tokens": self.tokens})


def _memories(shown: str) -> str:
    found = _NUMBERED.findall(shown.partition("<conversation>")[2])
    memories = [
        {
            "action": "new",
            "kind": "semantic",
            "slug": f"keeps_{thing}_{number}",
            "text": f"I {sentence}",
            "sources": [int(line)],
            "known": None,
        }
        for line, sentence, thing, number in found
    ]
    return json.dumps({"memories": memories})


def _summary(shown: str) -> str:
    """Say what was said first: a sentence as it stands is borne out by itself."""
    said = _SAID.findall(shown.partition("<conversation>")[2])
    parts = shown.partition("<parts>")[2].strip().splitlines()
    return str(said[0]) if said else parts[0] if parts else "Yes."


async def serve(seconds: float) -> None:
    stub = Stub(seconds)
    async with stub.server as server:
        print(server.url, flush=True)  # noqa: T201  whoever started it waits for it
        while line := (await asyncio.to_thread(sys.stdin.readline)).strip():
            if line != "?":
                stub.take(float(line))
            print(stub.asked(), flush=True)  # noqa: T201


if __name__ == "__main__":
    asyncio.run(serve(float(sys.argv[1])))
