from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import Any

from services.llm_proxy.caller import Caller
from services.llm_proxy.circuit import Attempt, Circuit
from services.llm_proxy.fairness import FairSlots
from services.llm_proxy.stream_usage import asking_for_usage
from services.llm_proxy.upstreams.port import Upstream
from services.llm_proxy.wire import ChatRequest, EmbeddingRequest


@dataclass(frozen=True, slots=True)
class Waiting:
    """How many seconds a request may wait for a place, unless its caller says that it can wait longer."""

    completion: float
    embedding: float


class GuardedUpstream:
    """An upstream behind its circuit and its places. A stream holds its place until it ends."""

    def __init__(
        self, upstream: Upstream, circuit: Circuit, slots: FairSlots, waiting: Waiting, *, counts_streams: bool = True
    ) -> None:
        self.upstream = upstream
        self.circuit = circuit
        self.slots = slots
        self._waiting = waiting
        self._counts_streams = counts_streams

    async def complete(self, request: ChatRequest, caller: Caller) -> dict[str, Any]:
        async with self._place(caller, self._waiting.completion):
            return await self.upstream.complete(request)

    async def stream(self, request: ChatRequest, caller: Caller) -> AsyncGenerator[bytes, None]:
        asked = asking_for_usage(request) if self._counts_streams else request
        async with (
            self._place(caller, self._waiting.completion) as attempt,
            aclosing(self.upstream.stream(asked)) as events,
        ):
            async for event in events:
                attempt.has_begun()
                yield event

    async def embed(self, request: EmbeddingRequest, caller: Caller) -> dict[str, Any]:
        async with self._place(caller, self._waiting.embedding):
            return await self.upstream.embed(request)

    @asynccontextmanager
    async def _place(self, caller: Caller, seconds: float) -> AsyncIterator[Attempt]:
        self.circuit.check()
        async with self.slots.slot(caller.tenant, max(seconds, caller.wait_seconds)):
            with self.circuit.attempt() as attempt:
                yield attempt
