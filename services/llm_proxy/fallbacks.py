"""Asks a model's upstreams one after the other, until one answers."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from services.llm_proxy.caller import Caller
from services.llm_proxy.errors import ProxyError
from services.llm_proxy.guarded import GuardedUpstream
from services.llm_proxy.routing import Route, Router
from services.llm_proxy.tracing import Tracing
from services.llm_proxy.verdicts import is_worth_another_upstream
from services.llm_proxy.wire import ChatRequest, EmbeddingRequest

AnswerT = TypeVar("AnswerT")


@dataclass(frozen=True, slots=True)
class Answered(Generic[AnswerT]):
    answer: AnswerT
    route: Route


class Failures(Protocol):
    def upstream_failed(self, upstream: str, error: ProxyError) -> None: ...


class Fallbacks:
    """Where every upstream fails, the first failure is the answer: it is about the model that was asked for.

    Embeddings of another model cannot be compared, so they fall back on the same model in another place only.
    """

    def __init__(
        self, router: Router, guarded: Mapping[str, GuardedUpstream], failures: Failures, tracing: Tracing
    ) -> None:
        self._router = router
        self._guarded = guarded
        self._failures = failures
        self._tracing = tracing

    async def complete(self, request: ChatRequest, caller: Caller) -> Answered[dict[str, Any]]:
        routes = await self._router.routes_for(request.model)
        return await self._first(routes, lambda guarded, model: guarded.complete(_for(request, model), caller))

    async def stream(self, request: ChatRequest, caller: Caller) -> Answered[AsyncGenerator[bytes, None]]:
        """Answer with a stream whose first event has come: from then on there is no way back."""
        routes = await self._router.routes_for(request.model)
        return await self._first(routes, lambda guarded, model: _begin(guarded.stream(_for(request, model), caller)))

    async def embed(self, request: EmbeddingRequest, caller: Caller) -> Answered[dict[str, Any]]:
        routes = [route for route in await self._router.routes_for(request.model) if route.is_same_model]
        return await self._first(
            routes,
            lambda guarded, model: guarded.embed(
                request if model == request.model else request.model_copy(update={"model": model}), caller
            ),
        )

    async def _first(
        self, routes: Sequence[Route], ask: Callable[[GuardedUpstream, str], Awaitable[AnswerT]]
    ) -> Answered[AnswerT]:
        first_failure: ProxyError | None = None
        for route in routes:
            try:
                with self._tracing.attempt(route.upstream.name, route.model):
                    return Answered(await ask(self._guarded[route.upstream.name], route.model), route)
            except ProxyError as error:
                self._failures.upstream_failed(route.upstream.name, error)
                first_failure = first_failure or error
                if not is_worth_another_upstream(error):
                    break
        assert first_failure is not None, "a model has a route"  # noqa: S101
        raise first_failure


async def _begin(events: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    try:
        first = await anext(events)
    except BaseException:
        await events.aclose()
        raise
    return _begun(first, events)


async def _begun(first: bytes, rest: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    async with aclosing(rest):
        yield first
        async for event in rest:
            yield event


def _for(request: ChatRequest, model: str) -> ChatRequest:
    return request if model == request.model else request.model_copy(update={"model": model})
