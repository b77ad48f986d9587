"""The W3C header lines that let a trace go on from one server to the next."""

import httpx
from opentelemetry.context import Context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

_PROPAGATOR = TraceContextTextMapPropagator()


def trace_headers() -> dict[str, str]:
    """What tells the next server which trace this is; nothing outside a trace."""
    headers: dict[str, str] = {}
    _PROPAGATOR.inject(headers)
    return headers


async def add_trace(request: httpx.Request) -> None:
    """An httpx hook: let each request to an upstream continue the trace."""
    request.headers.update(trace_headers())


def context_of(traceparent: str | None, tracestate: str | None) -> Context:
    """The trace that a caller's header lines name; none where they make no sense."""
    lines = {"traceparent": traceparent, "tracestate": tracestate}
    return _PROPAGATOR.extract({name: value for name, value in lines.items() if value}, Context())
