"""What the proxy tells of its traffic: tokens, cost, metrics and traces, and never a word of what was said."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import use_span
from prometheus_client.parser import text_string_to_metric_families

from services.llm_proxy.client import ModelClient
from tests.integration.llm_proxy.conftest import StartProxy, running_proxy
from tests.integration.llm_proxy.upstream_files import entry, question, upstream_file
from tests.support.openai_server import COMPLETIONS, OpenAIServer, Status, StreamBreak
from tests.support.trace_collector import TraceCollector, attributes

SECRET = "the-heron-flies-at-dawn"
TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


@pytest.fixture
async def http(upstream: OpenAIServer, start_proxy: StartProxy, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    models = [{"name": "chat-model", "completion_price": 2.0}, {"name": "embedding-model", "prompt_price": 0.5}]
    path = upstream_file(tmp_path, entry("gpu", upstream, models=models, prompt_price=1.0))
    url = await start_proxy(llm_proxy_upstreams=path, llm_proxy_embedding_cache_bytes=100_000)
    async with httpx.AsyncClient(base_url=url, timeout=30, trust_env=False) as client:
        yield client


async def counted(http: httpx.AsyncClient, metric: str, **labels: str) -> float:
    """Sum up what a metric says where these labels have these values."""
    families = text_string_to_metric_families((await http.get("/metrics")).text)
    samples = (sample for family in families for sample in family.samples if sample.name == f"llm_proxy_{metric}")
    return sum(sample.value for sample in samples if labels.items() <= sample.labels.items())


def told(tenant: str, purpose: str = "summarise") -> dict[str, str]:
    return {"X-Afterturn-Tenant": tenant, "X-Afterturn-Purpose": purpose}


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_tokens_and_cost_are_counted_by_tenant_model_and_purpose(
    http: httpx.AsyncClient, *, stream: bool
) -> None:
    for tenant, purpose in (("company:7", "summarise"), ("company:7", "extract"), ("company:8", "extract")):
        answer = await http.post(
            "/v1/chat/completions", json=question("one two three", stream=stream), headers=told(tenant, purpose)
        )
        assert answer.status_code == 200
        assert "usage" not in answer.text or not stream, "it was not asked for"
    one = {"tenant": "company:7", "purpose": "extract", "model": "chat-model"}
    assert await counted(http, "tokens_total", kind="prompt", **one) == 3
    assert await counted(http, "tokens_total", kind="completion", **one) == 5
    assert await counted(http, "cost_total", **one) == pytest.approx((3 * 1.0 + 5 * 2.0) / 1_000_000)
    assert await counted(http, "tokens_total", tenant="company:7") == 16
    assert await counted(http, "requests_total", status="200") == 3
    assert await counted(http, "first_event_seconds_count") == (3 if stream else 0)


async def test_cached_tokens_are_counted_and_cost_nothing(http: httpx.AsyncClient) -> None:
    for _ in range(3):
        await http.post(
            "/v1/embeddings", json={"model": "embedding-model", "input": "one two"}, headers=told("a", "search")
        )
    assert await counted(http, "tokens_total", kind="prompt", purpose="search") == 2
    assert await counted(http, "tokens_total", kind="cached", model="embedding-model") == 4
    assert await counted(http, "cost_total") == pytest.approx(2 * 0.5 / 1_000_000)


async def test_a_stream_that_is_left_is_counted_as_such(http: httpx.AsyncClient, upstream: OpenAIServer) -> None:
    upstream.fault = StreamBreak("stall", after=3)
    async with http.stream("POST", "/v1/chat/completions", json=question("a", stream=True)) as answer:
        await anext(answer.aiter_bytes())
    while not await counted(http, "requests_total", status="499"):
        await asyncio.sleep(0.02)
    assert await counted(http, "uncounted_total") == 1
    assert await counted(http, "in_flight") == 0


async def test_every_failure_is_counted_under_its_status(http: httpx.AsyncClient, upstream: OpenAIServer) -> None:
    for status in (400, 429, 503):
        upstream.fault = Status(status)
        await http.post("/v1/chat/completions", json=question("a"))
        assert await counted(http, "requests_total", status=str(status), model="none") == 1
    assert await counted(http, "upstream_failures_total", upstream="gpu", reason="429") == 1
    assert await counted(http, "tokens_total") == 0


async def test_names_that_callers_choose_are_bounded(http: httpx.AsyncClient) -> None:
    for number in range(230):
        body = {"model": "embedding-model", "input": "same"}
        await http.post("/v1/embeddings", json=body, headers=told(f"tenant-{number}", f"purpose-{number}"))
    families = list(text_string_to_metric_families((await http.get("/metrics")).text))
    [requests] = [family for family in families if family.name == "llm_proxy_requests"]
    counted_ones = [sample for sample in requests.samples if sample.name.endswith("_total")]
    assert len({sample.labels["tenant"] for sample in counted_ones}) == 201
    assert len({sample.labels["purpose"] for sample in counted_ones}) == 51
    assert sum(sample.value for sample in counted_ones) == 230
    assert await counted(http, "requests_total", tenant="others") == 30


async def test_two_proxies_in_a_process_share_no_metrics(upstream: OpenAIServer) -> None:
    async with (
        running_proxy(openai_compatible_url=upstream.url) as one,
        running_proxy(openai_compatible_url=upstream.url) as other,
        httpx.AsyncClient(base_url=one, timeout=30, trust_env=False) as first,
        httpx.AsyncClient(base_url=other, timeout=30, trust_env=False) as second,
    ):
        await first.post("/v1/chat/completions", json=question("a"))
        assert (await counted(first, "requests_total"), await counted(second, "requests_total")) == (1, 0)


async def test_no_content_is_in_metrics_or_traces(
    upstream: OpenAIServer, start_proxy: StartProxy, tmp_path: Path
) -> None:
    path = upstream_file(tmp_path, entry("gpu", upstream))
    async with TraceCollector() as collector:
        async with (
            running_proxy(llm_proxy_upstreams=path, otel_exporter_otlp_endpoint=collector.url) as url,
            httpx.AsyncClient(base_url=url, timeout=30, trust_env=False) as http,
        ):
            quoting = f'{{"error": {{"message": "{SECRET}", "type": "{SECRET}", "code": "{SECRET}"}}}}'.encode()
            for fault in (None, Status(400, body=quoting), Status(500, body=quoting), StreamBreak("garbage")):
                upstream.fault = fault
                for stream in (False, True):
                    body = question(SECRET, stream=stream, user=SECRET)
                    await http.post("/v1/chat/completions", json=body, headers={"X-Afterturn-Purpose": f"{SECRET}?"})
                await http.post("/v1/embeddings", json={"model": "embedding-model", "input": SECRET})
            metrics = (await http.get("/metrics")).text
        assert len(collector.spans) > 10
        assert SECRET.encode() not in collector.raw
        assert SECRET not in metrics


async def test_the_callers_trace_goes_on_to_the_upstream(upstream: OpenAIServer) -> None:
    async with TraceCollector() as collector:
        async with (
            running_proxy(openai_compatible_url=upstream.url, otel_exporter_otlp_endpoint=collector.url) as url,
            httpx.AsyncClient(base_url=url, timeout=30, trust_env=False) as http,
        ):
            headers = {"traceparent": f"00-{TRACE}-{PARENT}-01", **told("company:7")}
            for stream in (False, True):
                upstream.headers.clear()
                await http.post("/v1/chat/completions", json=question("one", stream=stream), headers=headers)
                _, trace, parent, _ = upstream.headers[-1]["traceparent"].split("-")
                assert (trace, parent == PARENT) == (TRACE, False)
            await http.post("/v1/embeddings", json={"model": "embedding-model", "input": "a"}, headers=headers)
            assert upstream.headers[-1]["traceparent"].split("-")[1] == TRACE
        for operation in ("chat", "chat_stream", "embeddings"):
            [span] = collector.named(operation)
            assert (span.trace_id.hex(), span.parent_span_id.hex()) == (TRACE, PARENT)
            said = attributes(span)
            assert (said["afterturn.tenant"], said["afterturn.purpose"]) == ("company:7", "summarise")
            assert said["gen_ai.usage.input_tokens"] == 1
        asked = collector.named("ask openai-compatible")
        assert len(asked) == 3
        assert {one.parent_span_id for one in asked} == {
            span.span_id for name in ("chat", "chat_stream", "embeddings") for span in collector.named(name)
        }


async def test_a_failed_attempt_and_its_fallback_are_both_in_the_trace(tmp_path: Path) -> None:
    async with TraceCollector() as collector, OpenAIServer(models=["big"]) as gpu, OpenAIServer() as cloud:
        gpu.fault = Status(503)
        path = upstream_file(tmp_path, entry("gpu", gpu), entry("cloud", cloud), fallbacks={"big": ["chat-model"]})
        async with (
            running_proxy(llm_proxy_upstreams=path, otel_exporter_otlp_endpoint=collector.url) as url,
            httpx.AsyncClient(base_url=url, timeout=30, trust_env=False) as http,
        ):
            assert (await http.post("/v1/chat/completions", json=question("a", model="big"))).status_code == 200
        [failed], [answered], [whole] = (collector.named(name) for name in ("ask gpu", "ask cloud", "chat"))
        assert attributes(failed)["error.type"] == "503"
        assert "error.type" not in attributes(answered)
        assert attributes(whole)["gen_ai.response.model"] == "chat-model"


async def test_without_a_collector_the_trace_is_passed_on(http: httpx.AsyncClient, upstream: OpenAIServer) -> None:
    headers = {"traceparent": f"00-{TRACE}-{PARENT}-01"}
    await http.post("/v1/chat/completions", json=question("a"), headers=headers)
    assert upstream.headers[-1]["traceparent"] == f"00-{TRACE}-{PARENT}-01"
    await http.post("/v1/chat/completions", json=question("a"))
    assert "traceparent" not in upstream.headers[-1]
    await http.post("/v1/chat/completions", json=question("a"), headers={"traceparent": "nonsense"})
    assert "traceparent" not in upstream.headers[-1]


async def test_the_model_client_says_who_asks_what_for_and_in_which_trace(upstream: OpenAIServer) -> None:
    messages = [{"role": "user", "content": "a"}]
    span = TracerProvider().get_tracer("tests").start_span("digest")
    async with ModelClient.open(upstream.url, api_key="key-1") as client:
        with use_span(span):
            await client.complete(
                model="chat-model", messages=messages, max_tokens=5, tenant="user:ñ", purpose="summarise"
            )
            await client.embed(
                model="embedding-model", texts=["a"], input_type="query", tenant="user:ñ", purpose="search"
            )
        await client.complete(model="chat-model", messages=messages, max_tokens=5)
    first, second, bare = upstream.headers
    assert (first["x-afterturn-tenant"], first["x-afterturn-purpose"]) == ("user%3A%C3%B1", "summarise")
    assert (second["x-afterturn-tenant"], second["x-afterturn-purpose"]) == ("user%3A%C3%B1", "search")
    trace = f"{span.get_span_context().trace_id:032x}"
    assert first["traceparent"].split("-")[1] == second["traceparent"].split("-")[1] == trace
    assert not {"x-afterturn-tenant", "x-afterturn-purpose", "traceparent"} & bare.keys()
    assert {headers["authorization"] for headers in upstream.headers} == {"Bearer key-1"}
    assert upstream.calls[COMPLETIONS] == 2
