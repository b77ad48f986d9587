"""Merges embedding requests that arrive while others are being answered into one upstream request."""

import asyncio
import contextvars
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Self

from services.llm_proxy.caller import Caller
from services.llm_proxy.embedding_inputs import (
    Embedding,
    Input,
    embeddings_in,
    in_numbers,
    inputs_of,
    kind_of,
    with_inputs,
)
from services.llm_proxy.errors import ProxyError, too_many_waiting, waited_too_long
from services.llm_proxy.fair_queue import FairQueue
from services.llm_proxy.fallbacks import Answered
from services.llm_proxy.verdicts import may_be_one_input
from services.llm_proxy.wire import EmbeddingRequest

# One batch on its way would leave the upstream idle between two; many would leave nothing to merge.
_ON_THE_WAY = 2
# Long texts take long: many of them in one batch would be late where each alone is not.
_MAX_CHARACTERS = 64_000

Ask = Callable[[EmbeddingRequest, Caller], Awaitable[Answered[dict[str, Any]]]]


@dataclass(eq=False, slots=True)
class _Part:
    """One caller's request, and the context that an upstream request on its behalf runs in."""

    request: EmbeddingRequest
    caller: Caller
    inputs: list[Input]
    answer: asyncio.Future[Answered[list[Embedding]]]
    patience: asyncio.Timeout
    context: contextvars.Context = field(default_factory=contextvars.copy_context)

    @property
    def characters(self) -> int:
        return sum(len(given) for given in self.inputs)


@dataclass(eq=False, slots=True)
class _Lane:
    """Requests that differ in their inputs only."""

    waiting: FairQueue[_Part]
    on_the_way: int = 0


@dataclass(frozen=True, slots=True)
class MergeLimits:
    """How many inputs a merged request has, and how many requests wait for it for how long."""

    inputs: int
    waiting: int
    wait_seconds: float


class Merger:
    """Nobody waits for company: a request leaves at once unless two batches of its kind are on their way already.

    Tenants take turns for a place in the next batch. A batch is cancelled when all whom it is for have gone.
    """

    def __init__(self, ask: Ask, limits: MergeLimits, on_batch: Callable[[int], None]) -> None:
        self._ask = ask
        self._limits = limits
        self._on_batch = on_batch
        self._lanes: dict[str, _Lane] = {}
        self._batches: set[asyncio.Task[None]] = set()

    @classmethod
    @asynccontextmanager
    async def open(cls, ask: Ask, limits: MergeLimits, on_batch: Callable[[int], None]) -> AsyncIterator[Self]:
        merger = cls(ask, limits, on_batch)
        try:
            yield merger
        finally:
            for batch in merger._batches:
                batch.cancel()
            await asyncio.gather(*merger._batches, return_exceptions=True)

    async def embed(self, request: EmbeddingRequest, caller: Caller) -> Answered[list[Embedding]]:
        """Embed the inputs of one request, in one upstream request with whatever else is waiting.

        One that fills a batch by itself, and every one where nothing is to be merged, goes its own way.
        """
        inputs = inputs_of(request)
        if len(inputs) >= self._limits.inputs:
            answered = await self._ask(in_numbers(request), caller)
            return Answered(embeddings_in(answered.answer, inputs), answered.route)
        kind = kind_of(request)
        lane = self._lanes.setdefault(kind, _Lane(FairQueue(self._limits.waiting)))
        answer: asyncio.Future[Answered[list[Embedding]]] = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(max(self._limits.wait_seconds, caller.wait_seconds)) as patience:
                part = _Part(request, caller, inputs, answer, patience)
                self._queue(part, lane)
                self._send(kind, lane)
                return await answer
        except TimeoutError:
            raise waited_too_long(request.model, 1) from None
        finally:
            lane.waiting.remove(caller.tenant, part)
            if answer.done() and not answer.cancelled():
                # Seen, even where we were cancelled at the very moment it came.
                answer.exception()

    def _queue(self, part: _Part, lane: _Lane) -> None:
        dropped = lane.waiting.put(part.caller.tenant, part)
        # One that has just given up may still be in the queue.
        if dropped is not None and not dropped.answer.done():
            batches = 1 + len(lane.waiting) // self._limits.inputs
            dropped.answer.set_exception(too_many_waiting(part.request.model, batches))

    def _send(self, kind: str, lane: _Lane) -> None:
        while lane.on_the_way < _ON_THE_WAY and (parts := self._next_batch(lane.waiting)):
            lane.on_the_way += 1
            batch = asyncio.get_running_loop().create_task(self._answer(parts), context=parts[0].context)
            for part in parts:
                part.answer.add_done_callback(partial(_stop_if_unwanted, batch, parts))
            self._batches.add(batch)
            batch.add_done_callback(partial(self._arrived, kind, lane))
        if not lane.on_the_way:
            self._lanes.pop(kind, None)

    def _arrived(self, kind: str, lane: _Lane, batch: asyncio.Task[None]) -> None:
        self._batches.discard(batch)
        lane.on_the_way -= 1
        self._send(kind, lane)

    def _next_batch(self, waiting: FairQueue[_Part]) -> list[_Part]:
        parts: list[_Part] = []
        inputs = characters = 0
        while (tenant := next(iter(waiting), None)) is not None:
            part = waiting.first(tenant)
            if part.answer.done():
                waiting.take(tenant)
                continue
            inputs += len(part.inputs)
            characters += part.characters
            # A request is never divided: alone it goes whatever its size.
            if parts and (inputs > self._limits.inputs or characters > _MAX_CHARACTERS):
                break
            parts.append(waiting.take(tenant))
            # From now on the upstream's time limits count.
            part.patience.reschedule(None)
        return parts

    async def _answer(self, parts: Sequence[_Part]) -> None:
        """Give every caller an answer or an error, whatever happens."""
        self._on_batch(len(parts))
        try:
            await self._ask_together(parts)
        except ProxyError as error:
            if len(parts) > 1 and may_be_one_input(error):
                await self._answer_each(part for part in parts if not part.answer.done())
            else:
                _fail(parts, error)
        except asyncio.CancelledError:
            for part in parts:
                part.answer.cancel()
            raise
        except Exception as error:  # noqa: BLE001  a bug, and nobody else will see it: each caller has to
            _fail(parts, error)

    async def _answer_each(self, parts: Iterable[_Part]) -> None:
        async with asyncio.TaskGroup() as alone:
            for part in parts:
                alone.create_task(self._answer([part]), context=part.context)

    async def _ask_together(self, parts: Sequence[_Part]) -> None:
        inputs = [given for part in parts for given in part.inputs]
        first = parts[0].request
        # A request that travels alone keeps the form in which it came.
        request = in_numbers(first) if len(parts) == 1 else with_inputs(first, inputs)
        answered = await self._ask(request, parts[0].caller)
        embeddings = iter(embeddings_in(answered.answer, inputs))
        for part in parts:
            own = [next(embeddings) for _ in part.inputs]
            if not part.answer.done():
                part.answer.set_result(Answered(own, answered.route))


def _stop_if_unwanted(batch: asyncio.Task[None], parts: Sequence[_Part], _answered: object) -> None:
    if all(part.answer.cancelled() for part in parts):
        batch.cancel()


def _fail(parts: Sequence[_Part], error: Exception) -> None:
    for part in parts:
        if not part.answer.done():
            part.answer.set_exception(error)
