"""OpenTelemetry spans from the caller's trace to the upstream's. They carry names and counts, never content."""

from collections.abc import Iterator
from contextlib import contextmanager

from opentelemetry.trace import Span, SpanKind, Status, StatusCode, Tracer

from services.llm_proxy.caller import Caller
from services.llm_proxy.errors import ProxyError
from services.llm_proxy.trace_headers import context_of
from services.llm_proxy.verdicts import reason
from services.tracing import current


class Tracing:
    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer

    def start(self, operation: str, caller: Caller) -> Span:
        """Start the span of a request, in the caller's trace if it named one; whoever starts it ends it."""
        context = context_of(caller.traceparent, caller.tracestate)
        attributes = {
            "gen_ai.operation.name": operation,
            "afterturn.tenant": caller.tenant,
            "afterturn.purpose": caller.purpose,
            "afterturn.request_id": caller.request_id,
        }
        return self._tracer.start_span(operation, context, SpanKind.SERVER, attributes)

    @contextmanager
    def attempt(self, upstream: str, model: str) -> Iterator[None]:
        """Trace one upstream's turn at the current request."""
        attributes = {"afterturn.upstream": upstream, "gen_ai.request.model": model}
        span = self._tracer.start_span(f"ask {upstream}", kind=SpanKind.CLIENT, attributes=attributes)
        with current(span):
            try:
                yield
            except ProxyError as error:
                failed(span, error)
                raise
            finally:
                span.end()


def failed(span: Span, error: ProxyError) -> None:
    span.set_attribute("http.response.status_code", error.status)
    span.set_attribute("error.type", reason(error))
    span.set_status(Status(StatusCode.ERROR))
