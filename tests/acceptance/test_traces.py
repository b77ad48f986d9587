"""One trace from a room's step through the LLM proxy to the upstream, with whose it is and what for."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from afterturn_client.memory_client import MemoryClient
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from services.resources import open_resources
from services.worker.run import running_workers
from tests.integration.llm_proxy.conftest import running_proxy
from tests.support.main_job import RECORD_SECONDS
from tests.support.openai_server import MODELS, OpenAIServer, Status
from tests.support.rooms import until_digested
from tests.support.trace_collector import TraceCollector, attributes

ROOM = "user:ana"
CANARY = "xylophonecanary"


@pytest.fixture
async def collector(
    environment: None, model: OpenAIServer, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[TraceCollector]:
    async with TraceCollector() as collector:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        yield collector


async def digested(model: OpenAIServer, monkeypatch: pytest.MonkeyPatch, endpoint: str) -> None:
    """Let a worker digest a room through the proxy, past a failure; both have sent their spans at the end."""
    async with running_proxy(openai_compatible_url=model.url, otel_exporter_otlp_endpoint=endpoint) as url:
        monkeypatch.setenv("LLM_PROXY_URL", url)
        quoting = f'{{"error": {{"message": "{CANARY}"}}}}'.encode()
        model.fault = Status(503, retry_after="1", body=quoting)
        async with (
            open_resources() as resources,
            running_workers(),
            MemoryClient.connect(seconds=RECORD_SECONDS) as memory,
        ):
            await memory.record_turn(ROOM, user=f"I live in Lima. {CANARY}", assistant="Noted.", user_id="ana")
            # The digest's: the proxy asks for the list of models by itself, and is answered.
            while model.calls.total() == model.calls[MODELS]:
                await asyncio.sleep(0.05)
            model.fault = None
            await until_digested(resources, ROOM, 2)


async def test_a_trace_goes_from_the_room_to_the_upstream(
    collector: TraceCollector, model: OpenAIServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    await digested(model, monkeypatch, collector.url)
    tries = {span.span_id: span for span in collector.named("digest_next")}
    assert all(attributes(span)["afterturn.room"] == ROOM for span in tries.values())
    assert "ModelUnavailableError" in {attributes(span).get("error.type") for span in tries.values()}
    asked = [*collector.named("chat"), *collector.named("embeddings")]
    assert {who(span) for span in asked} >= {("user:ana", "summarise"), ("user:ana", "embed")}
    ours = [span for span in asked if who(span) == ("user:ana", "summarise")]
    assert all(tries[span.parent_span_id].trace_id == span.trace_id for span in ours)
    traces = {headers["traceparent"].split("-")[1] for headers in model.headers if "traceparent" in headers}
    assert {span.trace_id.hex() for span in ours} <= traces
    assert CANARY.encode() not in collector.raw


def who(span: Span) -> tuple[object, object]:
    said = attributes(span)
    return said["afterturn.tenant"], said["afterturn.purpose"]
