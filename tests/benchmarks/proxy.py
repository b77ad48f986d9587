"""What the LLM proxy costs and what it is good for: `python -m tests.benchmarks.proxy`.

The proxy is a process of its own, as in production; the upstream and the callers share this one. Each figure stands
beside what it is compared with in the same run: on a busy machine only the ratios mean something.
"""

import asyncio
import os
import statistics
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Any

import httpx
from rich.console import Console
from rich.table import Table

from services.embedded.ports import free_port
from tests.support.openai_server import COMPLETIONS, EMBEDDINGS, OpenAIServer, Slow

CALLS = 300
CALLERS = 64
EMBEDDED_BY_EACH = {"embedding-model": 8, "multilingual-e5-small": 1}
STREAMS = 500
TENANTS = 5
FLOOD = 100
PLACES = 8
SERVICE_SECONDS = 0.2
EMBEDDING_SECONDS = 0.05
ASKED_BY_EACH = 25
COLUMNS = ("what", "p50 ms", "p99 ms", "a second", "compared", "note")
Row = tuple[str, str, str, str, str, str]

CHAT: dict[str, Any] = {"model": "chat-model", "messages": [{"role": "user", "content": "Where do I live?"}]}


@asynccontextmanager
async def running(**settings: str) -> AsyncIterator[str]:
    """Run the proxy, and give its address."""
    port = free_port()
    unset = {"OLLAMA_URL_INTERNAL": "", "LLM_PROXY_EMBEDDING_CACHE_BYTES": "0", "LLM_PROXY_PORT": str(port)}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "services.llm_proxy", env={**os.environ, **unset, **settings}
    )
    url = f"http://127.0.0.1:{port}"
    try:
        async with _caller(url) as http:
            while not await _is_up(http):
                await asyncio.sleep(0.05)
        yield url
    finally:
        process.terminate()
        await process.wait()


def _caller(url: str) -> httpx.AsyncClient:
    """A client for one caller: callers that share a pool of connections wait for it longer than for the proxy."""
    return httpx.AsyncClient(base_url=url, timeout=300, trust_env=False, verify=False)  # noqa: S501  plain HTTP


async def _is_up(http: httpx.AsyncClient) -> bool:
    try:
        return (await http.get("/health")).is_success
    except httpx.ConnectError:
        return False


async def timed(times: int, call: Callable[[], Awaitable[object]]) -> list[float]:
    """Give the seconds of each call, one after the other."""
    seconds = []
    for _ in range(times):
        started = time.perf_counter()
        await call()
        seconds.append(time.perf_counter() - started)
    return seconds


def _row(
    name: str, seconds: list[float], a_second: float | None = None, *, compared: float | None = None, note: str = ""
) -> Row:
    p50, p99 = statistics.median(seconds), _percentile(seconds, 99)
    rate = len(seconds) / sum(seconds) if a_second is None else a_second
    ratio = "" if compared is None else f"x {compared:.2f}"
    return name, f"{p50 * 1000:.2f}", f"{p99 * 1000:.2f}", f"{rate:.0f}", ratio, note


def _percentile(seconds: list[float], percent: int) -> float:
    return sorted(seconds)[min(len(seconds) - 1, len(seconds) * percent // 100)]


async def _ask(http: httpx.AsyncClient, tenant: str = "idle") -> None:
    answer = await http.post("/v1/chat/completions", json=CHAT, headers={"X-Afterturn-Tenant": tenant})
    answer.raise_for_status()


async def overhead(upstream: OpenAIServer) -> list[Row]:
    async with (
        running(OPENAI_COMPATIBLE_URL=upstream.url) as url,
        _caller(url) as proxied,
        _caller(upstream.url) as direct,
    ):
        for http in (direct, proxied):
            await timed(20, partial(_ask, http))
        straight, through = [], []
        # By turns: whatever else the machine does hits both.
        for _ in range(CALLS):
            straight += await timed(1, partial(_ask, direct))
            through += await timed(1, partial(_ask, proxied))
    p50 = statistics.median(through) - statistics.median(straight)
    p99 = _percentile(through, 99) - _percentile(straight, 99)
    times = statistics.median(through) / statistics.median(straight)
    note = f"adds {p50 * 1000:.2f} ms to the median, {p99 * 1000:.2f} ms to the p99"
    return [
        _row("completion, upstream directly", straight),
        _row("completion, through the proxy", through, compared=times, note=note),
    ]


async def embeddings(upstream: OpenAIServer) -> list[Row]:
    """A server that does two requests at a time, however many inputs each has, and the embedded model."""
    server = {"OPENAI_COMPATIBLE_URL": upstream.url, "LLM_PROXY_MAX_CONCURRENT": "2"}
    upstream.fault = Slow(EMBEDDING_SECONDS)
    try:
        rows = await _merged_and_not("embedding-model", server, upstream)
    finally:
        upstream.fault = None
    return rows + await _merged_and_not("multilingual-e5-small", {"EMBEDDED_MODELS": "true"}, upstream)


async def _merged_and_not(model: str, settings: dict[str, str], upstream: OpenAIServer) -> list[Row]:
    rows: list[Row] = []
    one_by_one: float | None = None
    for name, inputs in (("one by one", "1"), ("merged", "64")):
        async with running(**settings, LLM_PROXY_MERGE_INPUTS=inputs, EMBEDDING_TIMEOUT="300") as url:
            async with _caller(url) as http:
                await _embed(http, model, "warm up")
            before, started = upstream.calls[EMBEDDINGS], time.perf_counter()
            each = await asyncio.gather(*(_embed_some(url, model, caller) for caller in range(CALLERS)))
            rate = CALLERS * EMBEDDED_BY_EACH[model] / (time.perf_counter() - started)
        asked = upstream.calls[EMBEDDINGS] - before
        note = f"{asked} upstream requests" if asked else "the model is in the proxy"
        seconds, compared = [one for some in each for one in some], rate / one_by_one if one_by_one else None
        rows.append(_row(f"{CALLERS} callers embed, {name}: {model}", seconds, rate, compared=compared, note=note))
        one_by_one = rate
    return rows


async def _embed_some(url: str, model: str, caller: int) -> list[float]:
    times = EMBEDDED_BY_EACH[model]
    texts = (f"caller {caller} asks where he lives, question {number}" for number in range(times))
    async with _caller(url) as http:
        return await timed(times, lambda: _embed(http, model, next(texts)))


async def _embed(http: httpx.AsyncClient, model: str, text: str) -> None:
    (await http.post("/v1/embeddings", json={"model": model, "input": text})).raise_for_status()


async def streams(upstream: OpenAIServer) -> list[Row]:
    """Hold every stream open until all have begun."""
    everybody = asyncio.Event()

    async def when_all_are_here(_: object) -> str:
        if upstream.calls[COMPLETIONS] - before >= STREAMS:
            everybody.set()
        await everybody.wait()
        return "at last there is an answer"

    before = 0

    async def all_at_once(url: str) -> tuple[list[float], float]:
        nonlocal before
        before = upstream.calls[COMPLETIONS]
        everybody.clear()
        async with AsyncExitStack() as stack:
            callers = [await stack.enter_async_context(_caller(url)) for _ in range(STREAMS)]
            started = time.perf_counter()
            seconds = await asyncio.gather(*(timed(1, partial(_stream, http)) for http in callers))
            return [one for [one] in seconds], STREAMS / (time.perf_counter() - started)

    answer, upstream.answer = upstream.answer, when_all_are_here
    try:
        straight, a_second = await all_at_once(upstream.url)
        async with running(OPENAI_COMPATIBLE_URL=upstream.url, LLM_PROXY_MAX_CONCURRENT=str(STREAMS)) as url:
            through, proxied_a_second = await all_at_once(url)
    finally:
        upstream.answer = answer
    times = statistics.median(through) / statistics.median(straight)
    return [
        _row(f"{STREAMS} streams at once, upstream directly", straight, a_second),
        _row(
            f"{STREAMS} streams at once, through the proxy",
            through,
            proxied_a_second,
            compared=times,
            note="all were open together, and ended whole",
        ),
    ]


async def _stream(http: httpx.AsyncClient) -> None:
    async with http.stream("POST", "/v1/chat/completions", json={**CHAT, "stream": True}) as answer:
        lines = [line async for line in answer.aiter_lines() if line]
    assert lines[-1] == "data: [DONE]"


async def fairness(upstream: OpenAIServer) -> list[Row]:
    """Four tenants ask at a leisurely pace, alone at first, then beside a fifth that floods."""

    async def served(_: object) -> str:
        await asyncio.sleep(SERVICE_SECONDS)
        return "there"

    answer, upstream.answer = upstream.answer, served
    try:
        async with running(OPENAI_COMPATIBLE_URL=upstream.url, LLM_PROXY_MAX_CONCURRENT=str(PLACES)) as url:
            await _leisurely(url, 5)
            idle = await _leisurely(url, ASKED_BY_EACH)
            flood = [asyncio.create_task(_flood(url)) for _ in range(FLOOD)]
            await asyncio.sleep(1)
            flooded = await _leisurely(url, ASKED_BY_EACH)
            for one in flood:
                one.cancel()
            await asyncio.gather(*flood, return_exceptions=True)
    finally:
        upstream.answer = answer
    before, during = _percentile(idle, 95), _percentile(flooded, 95)
    return [
        _row(f"{TENANTS - 1} tenants alone", idle, note=f"p95 {before * 1000:.1f} ms"),
        _row(
            f"the same beside a flood of {FLOOD} callers",
            flooded,
            compared=during / before,
            note=f"p95 {during * 1000:.1f} ms",
        ),
    ]


async def _leisurely(url: str, times: int) -> list[float]:
    async def asking(tenant: str) -> list[float]:
        seconds = []
        async with _caller(url) as http:
            for _ in range(times):
                await asyncio.sleep(SERVICE_SECONDS)
                seconds += await timed(1, partial(_ask, http, tenant))
        return seconds

    each = await asyncio.gather(*(asking(f"tenant-{number}") for number in range(1, TENANTS)))
    return [one for some in each for one in some]


async def _flood(url: str) -> None:
    async with _caller(url) as http:
        while True:
            await _ask(http, "flooding")


async def rows() -> list[Row]:
    """Measure everything; a row for each, under `COLUMNS`."""
    async with OpenAIServer() as upstream:
        return [
            *await overhead(upstream),
            *await embeddings(upstream),
            *await streams(upstream),
            *await fairness(upstream),
        ]


if __name__ == "__main__":
    table = Table(*COLUMNS)
    for row in asyncio.run(rows()):
        table.add_row(*row)
    Console().print(table)
