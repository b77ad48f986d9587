"""Puts the proxy's parts together, around upstreams that are open as long as it serves."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any

from services.llm_proxy.budgets import Allowance, Budgets
from services.llm_proxy.calls import Calls
from services.llm_proxy.circuit import Circuit
from services.llm_proxy.embedding_cache import EmbeddingCache
from services.llm_proxy.fairness import FairSlots
from services.llm_proxy.fallbacks import Fallbacks
from services.llm_proxy.gateway import Gateway
from services.llm_proxy.guarded import GuardedUpstream, Waiting
from services.llm_proxy.merging import MergeLimits, Merger
from services.llm_proxy.metrics import Metrics
from services.llm_proxy.routing import Offer, Price, Router, Target
from services.llm_proxy.tracing import Tracing
from services.llm_proxy.upstream_file import EMBEDDED, ModelEntry, UpstreamEntry, UpstreamFile
from services.llm_proxy.upstream_plan import UpstreamPlan
from services.llm_proxy.upstreams.opening import OpenedUpstream, open_upstreams
from services.settings import ProxySettings
from services.tracing import open_tracer


@asynccontextmanager
async def open_proxy(plan: UpstreamPlan, settings: ProxySettings) -> AsyncIterator[dict[str, Any]]:
    """Give what requests find in their state."""
    async with AsyncExitStack() as stack:
        endpoint = settings.otel_exporter_otlp_endpoint
        tracing = Tracing(await stack.enter_async_context(open_tracer(endpoint, "afterturn-llm-proxy")))
        opened = await stack.enter_async_context(open_upstreams(plan, settings))
        guarded = {one.upstream.name: _guard(one, settings) for one in opened}
        router = _router(opened, plan.file)
        metrics = Metrics()
        metrics.watch(guarded)
        fallbacks = Fallbacks(router, guarded, metrics, tracing)
        limits = MergeLimits(
            settings.llm_proxy_merge_inputs, settings.llm_proxy_max_waiting, settings.embedding_timeout
        )
        merger = await stack.enter_async_context(Merger.open(fallbacks.embed, limits, metrics.batch_sent))
        gateway = Gateway(
            calls=Calls(metrics, tracing),
            budgets=_budgets(plan.file, settings),
            cache=EmbeddingCache(settings.llm_proxy_embedding_cache_bytes),
            merger=merger,
            fallbacks=fallbacks,
        )
        await stack.enter_async_context(_watching(router))
        yield {"router": router, "gateway": gateway, "settings": settings, "guarded": guarded, "metrics": metrics}


def _guard(opened: OpenedUpstream, settings: ProxySettings) -> GuardedUpstream:
    name, entry = opened.upstream.name, opened.entry
    return GuardedUpstream(
        opened.upstream,
        Circuit(
            name,
            failures=settings.llm_proxy_circuit_failures,
            seconds=settings.llm_proxy_circuit_seconds,
            clock=time.monotonic,
        ),
        FairSlots(
            name,
            capacity=opened.max_concurrent,
            max_waiting=settings.llm_proxy_max_waiting,
            clock=time.monotonic,
        ),
        Waiting(
            completion=entry.completion_timeout or settings.completion_timeout,
            embedding=entry.embedding_timeout or settings.embedding_timeout,
        ),
        counts_streams=entry.stream_usage,
    )


def _router(opened: list[OpenedUpstream], file: UpstreamFile) -> Router:
    return Router(
        [one.upstream for one in opened],
        {one.upstream.name: _offer(one.entry) for one in opened},
        {model: [Target(entry.model, entry.upstream) for entry in chain] for model, chain in file.fallbacks.items()},
    )


def _offer(entry: UpstreamEntry) -> Offer:
    only_these = entry.models and entry.kind != EMBEDDED
    return Offer(
        group=entry.name,
        only=frozenset(model.name for model in entry.models) if only_these else None,
        aliases={alias: model.name for model in entry.models for alias in model.aliases},
        prices={model.name: _price(model, entry) for model in entry.models},
        price=Price(entry.prompt_price, entry.completion_price),
    )


def _price(model: ModelEntry, entry: UpstreamEntry) -> Price:
    return Price(
        entry.prompt_price if model.prompt_price is None else model.prompt_price,
        entry.completion_price if model.completion_price is None else model.completion_price,
    )


def _budgets(file: UpstreamFile, settings: ProxySettings) -> Budgets:
    default = Allowance(settings.llm_proxy_requests_per_minute, settings.llm_proxy_tokens_per_minute)
    tenants = {
        name: Allowance(entry.requests_per_minute, entry.tokens_per_minute) for name, entry in file.tenants.items()
    }
    return Budgets(default, tenants, time.monotonic)


@asynccontextmanager
async def _watching(router: Router) -> AsyncIterator[None]:
    watching = asyncio.create_task(router.watch())
    try:
        yield
    finally:
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching
