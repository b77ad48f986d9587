import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from services.llm_proxy.caller import Caller
from services.llm_proxy.embedding_inputs import Embedding
from services.llm_proxy.errors import ProxyError, unreachable
from services.llm_proxy.fallbacks import Answered
from services.llm_proxy.merging import MergeLimits, Merger
from services.llm_proxy.routing import Route
from services.llm_proxy.wire import EmbeddingRequest, Usage, embedding_answer
from tests.unit.llm_proxy.test_routing import FakeUpstream

ROUTE = Route(FakeUpstream("gpu", None), "m")


class FakeAsk:
    """Answers with each text's length when it is told to; refuses what `error` says."""

    def __init__(self) -> None:
        self.asked: list[list[Any]] = []
        self.callers: list[str] = []
        self.go = asyncio.Event()
        self.error: Callable[[list[Any]], Exception | None] = lambda _: None
        self.cancelled = 0

    async def __call__(self, request: EmbeddingRequest, caller: Caller) -> Answered[dict[str, Any]]:
        inputs = [request.input] if isinstance(request.input, str) else request.input
        self.asked.append(inputs)
        self.callers.append(caller.tenant)
        try:
            await self.go.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if (error := self.error(inputs)) is not None:
            raise error
        vectors = [[float(len(text))] for text in inputs]
        return Answered(embedding_answer(request, vectors, Usage(prompt_tokens=len(inputs))), ROUTE)


class Scene:
    def __init__(self, merger: Merger, ask: FakeAsk) -> None:
        self.merger = merger
        self.ask = ask
        self.batches: list[int] = []

    def embed(self, given: Any, tenant: str = "a", **more: Any) -> "asyncio.Task[Answered[list[Embedding]]]":
        request = EmbeddingRequest.model_validate({"model": "m", "input": given, **more})
        return asyncio.create_task(self.merger.embed(request, Caller(tenant=tenant)))


@asynccontextmanager
async def scene(inputs: int = 8, waiting: int = 100, wait_seconds: float = 30) -> AsyncIterator[Scene]:
    ask = FakeAsk()
    batches: list[int] = []
    async with Merger.open(ask, MergeLimits(inputs, waiting, wait_seconds), batches.append) as merger:
        one = Scene(merger, ask)
        one.batches = batches
        yield one


async def settled() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


def lengths(answered: Answered[list[Embedding]]) -> list[float]:
    return [embedding.vector[0] for embedding in answered.answer]


async def test_nobody_waits_for_company_and_what_queued_is_merged() -> None:
    async with scene() as s:
        tasks = [s.embed("x" * number) for number in range(1, 13)]
        await settled()
        assert s.ask.asked == [["x"], ["xx"]], "two leave at once, each in the form in which it came"
        s.ask.go.set()
        answers = await asyncio.gather(*tasks)
        assert [lengths(answer) for answer in answers] == [[number] for number in range(1, 13)]
        assert [len(asked) for asked in s.ask.asked] == [1, 1, 8, 2]
        assert s.batches == [1, 1, 8, 2]


async def test_whoever_left_is_not_asked_for_when_a_batch_is_asked_again_one_by_one() -> None:
    async with scene() as s:
        ahead = [s.embed("a"), s.embed("a")]
        await settled()
        merged = [s.embed(text) for text in ("bb", "bad", "gone", "cc")]
        await settled()
        s.ask.error = lambda inputs: ProxyError(400, "refused") if "bad" in inputs else None
        s.ask.go.set()
        s.ask.go.clear()
        await asyncio.gather(*ahead)
        await settled()
        merged[2].cancel()
        await settled()
        s.ask.go.set()
        answers = await asyncio.gather(*merged, return_exceptions=True)
        assert [type(answer) for answer in answers] == [Answered, ProxyError, asyncio.CancelledError, Answered]
        assert s.ask.asked[2:] == [["bb", "bad", "gone", "cc"], ["bb"], ["bad"], ["cc"]]


async def test_each_gets_its_own_inputs_and_tokens() -> None:
    async with scene() as s:
        first, second = s.embed("a"), s.embed("b")
        several, one = s.embed(["cc", "ddd"]), s.embed("eeee")
        await settled()
        s.ask.go.set()
        assert lengths(await several) == [2, 3]
        assert lengths(await one) == [4]
        assert sum(embedding.tokens for answer in (await several, await one) for embedding in answer.answer) == 3
        await asyncio.gather(first, second)


async def test_only_what_is_alike_is_merged() -> None:
    async with scene() as s:
        tasks = [
            s.embed("a", **more)
            for more in (
                {},
                {"input_type": "query"},
                {"input_type": "passage"},
                {"dimensions": 3},
                {"user": "u"},
                {"model": "other"},
            )
            for _ in range(4)
        ]
        await settled()
        s.ask.go.set()
        await asyncio.gather(*tasks)
        assert [len(asked) for asked in s.ask.asked] == [1, 1] * 6 + [2] * 6


async def test_one_bad_input_fails_its_own_caller_only() -> None:
    async with scene() as s:
        s.ask.error = lambda inputs: ProxyError(400, "too long") if "bad" in inputs else None
        tasks = [s.embed(text) for text in ("a", "b", "good", "bad", "fine")]
        await settled()
        s.ask.go.set()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert [isinstance(result, ProxyError) for result in results] == [False, False, False, True, False]
        assert s.ask.asked[2:] == [["good", "bad", "fine"], ["good"], ["bad"], ["fine"]]


@pytest.mark.parametrize("error", [unreachable("gpu"), ProxyError(429, "slow down"), ProxyError(503, "busy")])
async def test_an_outage_fails_all_and_is_not_multiplied(error: ProxyError) -> None:
    async with scene() as s:
        s.ask.error = lambda _: error
        tasks = [s.embed(f"text {number}") for number in range(6)]
        await settled()
        s.ask.go.set()
        assert await asyncio.gather(*tasks, return_exceptions=True) == [error] * 6
        assert len(s.ask.asked) == 3


async def test_a_bug_reaches_every_caller() -> None:
    async with scene() as s:
        s.ask.error = lambda _: ValueError("bug")
        tasks = [s.embed(f"text {number}") for number in range(4)]
        s.ask.go.set()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert [type(result) for result in results] == [ValueError] * 4


async def test_who_hangs_up_does_not_cancel_the_others() -> None:
    async with scene() as s:
        first, second, third, fourth = (s.embed(text) for text in ("a", "b", "c", "dd"))
        await settled()
        s.ask.go.set()
        s.ask.go.clear()
        first.cancel()
        await settled()
        s.ask.go.set()
        third.cancel()
        assert lengths(await fourth) == [2]
        await asyncio.gather(first, second, third, return_exceptions=True)


async def test_a_batch_for_nobody_is_cancelled() -> None:
    async with scene(inputs=8) as s:
        holding = [s.embed("a"), s.embed("b")]
        await settled()
        merged = [s.embed("c"), s.embed("d")]
        await settled()
        holding[0].cancel()
        await settled()
        assert s.ask.cancelled == 1
        assert s.ask.asked[-1] == ["c", "d"], "its place is free for the next"
        merged[0].cancel()
        await settled()
        assert s.ask.cancelled == 1
        merged[1].cancel()
        await settled()
        assert s.ask.cancelled == 2
        s.ask.go.set()
        await holding[1]


async def test_who_left_while_waiting_is_not_asked_for() -> None:
    async with scene() as s:
        tasks = [s.embed(text) for text in ("a", "b", "gone", "here")]
        await settled()
        tasks[2].cancel()
        await settled()
        s.ask.go.set()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert s.ask.asked[2:] == [["here"]]


async def test_tenants_take_turns_for_the_next_batch() -> None:
    async with scene(inputs=4) as s:
        flood = [s.embed(f"flood {number}", "flood") for number in range(20)]
        await settled()
        other = s.embed("other", "b")
        await settled()
        s.ask.go.set()
        await other
        assert "other" in s.ask.asked[2]
        await asyncio.gather(*flood)


async def test_a_request_is_never_divided() -> None:
    async with scene(inputs=4) as s:
        texts = [f"text {number}" for number in range(9)]
        large = [s.embed(texts) for _ in range(3)]
        await settled()
        assert s.ask.asked == [texts] * 3, "it fills a batch by itself, so it need not wait for others"
        small = [s.embed(texts[:3]) for _ in range(4)]
        await settled()
        s.ask.go.set()
        await asyncio.gather(*large, *small)
        assert [len(asked) for asked in s.ask.asked[3:]] == [3, 3, 3, 3]


async def test_long_texts_travel_in_small_company() -> None:
    async with scene(inputs=64) as s:
        tasks = [s.embed("x" * 30_000) for _ in range(6)]
        await settled()
        s.ask.go.set()
        await asyncio.gather(*tasks)
        assert [len(asked) for asked in s.ask.asked] == [1, 1, 2, 2]


async def test_too_many_waiting_are_refused_at_the_floods_expense() -> None:
    async with scene(waiting=5) as s:
        flood = [s.embed(f"flood {number}", "flood") for number in range(8)]
        await settled()
        other = s.embed("other", "b")
        await settled()
        s.ask.go.set()
        await other
        results = await asyncio.gather(*flood, return_exceptions=True)
        refused = [result.code for result in results if isinstance(result, ProxyError)]
        assert refused == ["queue_full", "queue_full"]


async def test_waiting_has_an_end_and_working_has_not() -> None:
    async with scene(wait_seconds=0.05) as s:
        working = [s.embed("a"), s.embed("b")]
        waiting = s.embed("c")
        with pytest.raises(ProxyError) as raised:
            await waiting
        assert raised.value.code == "queue_timeout"
        s.ask.go.set()
        assert [lengths(answer) for answer in await asyncio.gather(*working)] == [[1], [1]]


async def test_with_one_input_a_batch_nothing_is_merged() -> None:
    async with scene(inputs=1) as s:
        tasks = [s.embed(f"text {number}") for number in range(20)]
        await settled()
        assert len(s.ask.asked) == 20
        s.ask.go.set()
        await asyncio.gather(*tasks)


async def test_closing_leaves_nothing_behind() -> None:
    async with scene() as s:
        tasks = [s.embed("a"), s.embed("b"), s.embed("c")]
        await settled()
        for task in tasks:
            task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert s.ask.cancelled == 2
