"""Where OpenTelemetry spans go. They carry names, ids and counts, never content."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractContextManager, asynccontextmanager

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import NoOpTracer, Span, Tracer, use_span


@asynccontextmanager
async def open_tracer(endpoint: str | None, service: str) -> AsyncIterator[Tracer]:
    """Send spans to an OTLP collector's base URL; what is still here at the end is sent then.

    Without one, spans are no-ops, and a caller's trace is passed on as it came.
    """
    if endpoint is None:
        yield NoOpTracer()
        return
    # Ours alone: nothing of it is set globally.
    provider = TracerProvider(resource=Resource.create({"service.name": service}))
    exporter = OTLPSpanExporter(endpoint=f"{endpoint.rstrip('/')}/v1/traces")
    provider.add_span_processor(BatchSpanProcessor(exporter))
    try:
        yield provider.get_tracer(service)
    finally:
        await asyncio.to_thread(provider.shutdown)


def current(span: Span) -> AbstractContextManager[Span]:
    # Exceptions are described by us: their text would be recorded with them.
    return use_span(span, record_exception=False, set_status_on_exception=False)
