"""What keeps one tenant from another's way, on real sockets."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from services.domain.errors import ModelUnavailableError
from services.llm_proxy.client import ModelClient
from tests.integration.llm_proxy.conftest import StartProxy
from tests.integration.llm_proxy.upstream_files import entry, question, upstream_file
from tests.support.openai_server import COMPLETIONS, OpenAIServer, Slow, Status, StreamBreak


class Gate:
    """An upstream's answers, held back until let through one by one; `begun` has their questions."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.most_at_once = 0
        self._at_once = 0
        self._through = asyncio.Semaphore(0)

    async def __call__(self, request: dict[str, Any]) -> str:
        self.begun.append(request["messages"][0]["content"])
        self._at_once += 1
        self.most_at_once = max(self.most_at_once, self._at_once)
        try:
            await self._through.acquire()
        finally:
            self._at_once -= 1
        return "there"

    def let(self, number: int) -> None:
        for _ in range(number):
            self._through.release()

    async def until_begun(self, number: int) -> None:
        while len(self.begun) < number:
            await asyncio.sleep(0.01)


@pytest.fixture
def gate(upstream: OpenAIServer) -> Gate:
    gate = Gate()
    upstream.answer = gate
    return gate


@asynccontextmanager
async def proxy(start_proxy: StartProxy, upstream: OpenAIServer, **settings: Any) -> AsyncIterator[httpx.AsyncClient]:
    url = await start_proxy(**{"openai_compatible_url": upstream.url, **settings})
    async with httpx.AsyncClient(base_url=url, timeout=60, trust_env=False) as http:
        yield http


def ask(http: httpx.AsyncClient, tenant: str, **more: Any) -> "asyncio.Task[httpx.Response]":
    headers = {"X-Afterturn-Tenant": tenant, **more.pop("headers", {})}
    asked = http.post("/v1/chat/completions", json=question(tenant, **more), headers=headers)
    return asyncio.create_task(asked)


async def waiting(http: httpx.AsyncClient) -> int:
    line = next(
        line for line in (await http.get("/metrics")).text.splitlines() if line.startswith("llm_proxy_waiting{")
    )
    return int(float(line.split()[-1]))


async def until_waiting(http: httpx.AsyncClient, number: int) -> None:
    while await waiting(http) != number:
        await asyncio.sleep(0.01)


async def test_an_upstream_has_no_more_requests_than_it_may(
    upstream: OpenAIServer, start_proxy: StartProxy, gate: Gate
) -> None:
    async with proxy(start_proxy, upstream, llm_proxy_max_concurrent=3) as http:
        asked = [ask(http, "a", stream=number % 2 == 0) for number in range(20)]
        await until_waiting(http, 17)
        gate.let(20)
        assert [(await one).status_code for one in asked] == [200] * 20
        assert gate.most_at_once == 3


async def test_a_flood_holds_up_nobody_else(upstream: OpenAIServer, start_proxy: StartProxy, gate: Gate) -> None:
    async with proxy(start_proxy, upstream, llm_proxy_max_concurrent=4) as http:
        first = ask(http, "b")
        await gate.until_begun(1)
        flood = [ask(http, "flood") for _ in range(50)]
        await until_waiting(http, 47)
        gate.let(1)
        await first
        # b has been here, so a place is kept for it: it waits for nobody.
        again = ask(http, "b")
        others = [ask(http, tenant) for tenant in ("c", "d", "e")]
        await until_waiting(http, 47 + 3)
        gate.let(100)
        await asyncio.gather(again, *others, *flood)
        served = gate.begun
        assert served.count("flood") == 50
        assert {served.index(tenant) for tenant in "cde"} < set(range(12)), served[:15]


async def test_who_hangs_up_in_the_queue_is_never_asked_for(
    upstream: OpenAIServer, start_proxy: StartProxy, gate: Gate
) -> None:
    async with proxy(start_proxy, upstream, llm_proxy_max_concurrent=1) as http:
        first = ask(http, "a")
        await gate.until_begun(1)
        leaving = [ask(http, "gone", stream=stream) for stream in (False, True)]
        last = ask(http, "last")
        await until_waiting(http, 3)
        for one in leaving:
            one.cancel()
        await until_waiting(http, 1)
        gate.let(2)
        assert [(await one).status_code for one in (first, last)] == [200, 200]
        assert gate.begun == ["a", "last"]


async def test_a_stream_holds_its_place_until_it_ends(upstream: OpenAIServer, start_proxy: StartProxy) -> None:
    upstream.fault = StreamBreak("stall", after=2)
    async with proxy(start_proxy, upstream, llm_proxy_max_concurrent=1) as http:
        async with http.stream("POST", "/v1/chat/completions", json=question("a", stream=True)) as answer:
            # Kept: a generator that nobody holds ends the stream.
            body = answer.aiter_bytes()
            await anext(body)
            upstream.fault = None
            next_one = ask(http, "b")
            await until_waiting(http, 1)
            assert upstream.calls[COMPLETIONS] == 1
        assert (await next_one).status_code == 200


async def test_a_full_queue_answers_when_to_come_back(
    upstream: OpenAIServer, start_proxy: StartProxy, gate: Gate
) -> None:
    async with proxy(start_proxy, upstream, llm_proxy_max_concurrent=1, llm_proxy_max_waiting=2) as http:
        waiting_ones = [ask(http, "flood") for _ in range(3)]
        await until_waiting(http, 2)
        refused = await ask(http, "flood")
        assert (refused.status_code, refused.json()["error"]["code"]) == (429, "queue_full")
        assert int(refused.headers["Retry-After"]) >= 1
        other = ask(http, "b")
        await asyncio.wait(waiting_ones, return_when=asyncio.FIRST_COMPLETED)
        gate.let(10)
        assert sorted([(await one).status_code for one in waiting_ones]) == [200, 200, 429]
        assert (await other).status_code == 200


async def test_waiting_too_long_is_a_503(upstream: OpenAIServer, start_proxy: StartProxy, tmp_path: Path) -> None:
    # Nobody waits for a place longer than for a chunk: the whole answer takes still longer.
    path = upstream_file(tmp_path, entry("gpu", upstream, max_concurrent=1, completion_timeout=3))
    upstream.fault = Slow(0.2)
    async with proxy(start_proxy, upstream, llm_proxy_upstreams=path) as http:
        long = ask(http, "a long answer that takes a good deal longer than anybody may wait for it", stream=True)
        while not upstream.calls[COMPLETIONS]:
            await asyncio.sleep(0.01)
        patient = ask(http, "c", headers={"X-Afterturn-Can-Wait": "30"})
        refused = await ask(http, "b")
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "queue_timeout")
        assert "Retry-After" in refused.headers
        assert [(await one).status_code for one in (patient, long)] == [200, 200]


async def test_a_budget_is_each_tenants_own(upstream: OpenAIServer, start_proxy: StartProxy, tmp_path: Path) -> None:
    path = upstream_file(tmp_path, entry("gpu", upstream), tenants={"rich": {"requests_per_minute": 3}})
    async with proxy(start_proxy, upstream, llm_proxy_upstreams=path, llm_proxy_requests_per_minute=1) as http:
        assert [(await ask(http, "rich")).status_code for _ in range(4)] == [200, 200, 200, 429]
        assert [(await ask(http, "poor")).status_code for _ in range(2)] == [200, 429]
        refused = await ask(http, "poor", stream=True)
        assert (refused.status_code, refused.json()["error"]["code"]) == (429, "over_budget")
        assert 30 <= int(refused.headers["Retry-After"]) <= 60
        assert upstream.calls[COMPLETIONS] == 4


async def test_who_can_wait_is_deferred(upstream: OpenAIServer, start_proxy: StartProxy) -> None:
    async with proxy(start_proxy, upstream, llm_proxy_requests_per_minute=60) as http:
        patient = [ask(http, "a", headers={"X-Afterturn-Can-Wait": "30"}) for _ in range(63)]
        assert [(await one).status_code for one in patient] == [200] * 63
        assert upstream.calls[COMPLETIONS] == 63


async def test_who_cannot_wait_that_long_hears_so_at_once(upstream: OpenAIServer, start_proxy: StartProxy) -> None:
    async with proxy(start_proxy, upstream, llm_proxy_tokens_per_minute=600) as http:
        long = question("word " * 605)
        spent = await http.post("/v1/chat/completions", json=long)
        assert spent.json()["usage"]["total_tokens"] > 1200
        refused = await http.post("/v1/chat/completions", json=long, headers={"X-Afterturn-Can-Wait": "1"})
        assert refused.status_code == 429
        assert int(refused.headers["Retry-After"]) > 30


async def test_a_failed_request_costs_no_tokens(upstream: OpenAIServer, start_proxy: StartProxy) -> None:
    async with proxy(start_proxy, upstream, llm_proxy_tokens_per_minute=600) as http:
        upstream.fault = Status(400)
        for stream in (False, True) * 3:
            assert (await ask(http, "a", stream=stream, max_tokens=100_000)).status_code == 400
        upstream.fault = None
        assert (await ask(http, "a", stream=True, max_tokens=100_000)).status_code == 200
        assert (await ask(http, "a")).status_code == 200, "what was counted stands, not what might have been"


async def test_who_hangs_up_unanswered_pays_no_tokens(
    upstream: OpenAIServer, start_proxy: StartProxy, gate: Gate
) -> None:
    limits = {"llm_proxy_tokens_per_minute": 600, "llm_proxy_max_concurrent": 2, "completion_timeout": 600}
    async with proxy(start_proxy, upstream, **limits) as http:
        other = ask(http, "b")
        leaving = ask(http, "a", max_tokens=100_000)
        await gate.until_begun(2)
        assert (await ask(http, "a")).status_code == 429, "what it may cost is set aside"
        leaving.cancel()
        while not upstream.abandoned:
            await asyncio.sleep(0.01)
        gate.let(10)
        while (answer := await ask(http, "a")).status_code == 429:
            await asyncio.sleep(0.01)
        assert [one.status_code for one in (answer, await other)] == [200, 200]


async def test_the_model_client_hears_when_to_come_back(upstream: OpenAIServer, start_proxy: StartProxy) -> None:
    url = await start_proxy(openai_compatible_url=upstream.url, llm_proxy_requests_per_minute=1)
    async with ModelClient.open(url) as client:
        messages = [{"role": "user", "content": "hello"}]
        await client.complete(model="chat-model", messages=messages, max_tokens=5, tenant="company:ñ")
        with pytest.raises(ModelUnavailableError) as raised:
            await client.complete(model="chat-model", messages=messages, max_tokens=5, tenant="company:ñ")
        assert raised.value.status == 429
        assert raised.value.retry_after is not None
        await client.embed(model="embedding-model", texts=["a"], input_type="query", tenant="company:o")
