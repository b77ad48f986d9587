import asyncio
import socket
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from activities.failures import scrubbed
from services.domain.errors import ModelRefusedError, ModelUnavailableError
from services.llm_proxy.client import Completion, ModelClient
from tests.integration.llm_proxy.conftest import HASTY_SECONDS
from tests.support.openai_server import (
    COMPLETIONS,
    EMBEDDINGS,
    Body,
    Fault,
    Html,
    OpenAIServer,
    Reset,
    Slow,
    Status,
    TruncatedJson,
    hashed_vector,
)

SECRET = "the-heron-flies-at-dawn"


async def ask(client: ModelClient, **more: Any) -> Completion:
    messages = [{"role": "user", "content": SECRET}]
    return await client.complete(**{"model": "chat-model", "messages": messages, "max_tokens": 9, **more})


async def test_a_completion_says_what_it_cost(model_client: ModelClient) -> None:
    assert await ask(model_client) == Completion(f"You said: {SECRET}", "stop", 1, 3)


async def test_the_request_says_all_that_was_asked(model_client: ModelClient, upstream: OpenAIServer) -> None:
    await ask(model_client, json_schema={"type": "object"}, seed=3, temperature=0.5, tenant="company:7")
    assert upstream.asked(COMPLETIONS) == [
        {
            "model": "chat-model",
            "messages": [{"role": "user", "content": SECRET}],
            "max_tokens": 9,
            "temperature": 0.5,
            "stream": False,
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "answer", "schema": {"type": "object"}, "strict": True},
            },
            "seed": 3,
        }
    ]
    assert "company" not in str(upstream.headers), "the tenant is for the proxy, not for an upstream"


async def test_many_texts_are_embedded_in_order(model_client: ModelClient, upstream: OpenAIServer) -> None:
    texts = [f"text {number}" for number in range(300)]
    vectors = await model_client.embed(model="embedding-model", texts=texts, input_type="passage")
    assert vectors == [pytest.approx(hashed_vector(text, {})) for text in texts]
    assert [len(body["input"]) for body in upstream.asked(EMBEDDINGS)] == [128, 128, 44]
    assert await model_client.embed(model="embedding-model", texts=[], input_type="query") == []


@pytest.mark.parametrize(
    ("fault", "time_limit"),
    [(Slow(60), HASTY_SECONDS)]
    + [(fault, 60.0) for fault in (Html(), TruncatedJson(), Reset(), Body(b"{}"))]
    + [(Status(status), 60.0) for status in (401, 402, 403, 404, 408, 409, 425, 429, 500, 501, 502, 503, 504, 529)],
    ids=repr,
)
async def test_an_outage_can_be_waited_out(model_client: ModelClient, upstream: OpenAIServer, fault: Fault) -> None:
    upstream.fault = fault
    with pytest.raises(ModelUnavailableError) as raised:
        await ask(model_client)
    assert SECRET not in str(raised.value)
    assert raised.value.status == (
        fault.status if isinstance(fault, Status) else 504 if isinstance(fault, Slow) else 502
    )
    with pytest.raises(ModelUnavailableError):
        await model_client.embed(model="embedding-model", texts=[SECRET], input_type="query")
    upstream.fault = None
    assert (await ask(model_client)).finish_reason == "stop"


@pytest.mark.parametrize("status", [400, 413, 422])
async def test_a_refusal_is_permanent(model_client: ModelClient, upstream: OpenAIServer, status: int) -> None:
    upstream.fault = Status(status, body=f'{{"error": {{"message": "not {SECRET}"}}}}'.encode())
    with pytest.raises(ModelRefusedError) as raised:
        await ask(model_client)
    assert raised.value.status == status
    assert SECRET not in str(raised.value)


async def test_an_unknown_model_may_still_be_pulled(model_client: ModelClient) -> None:
    with pytest.raises(ModelUnavailableError) as raised:
        await ask(model_client, model="no-such-model")
    assert raised.value.status == 404


async def test_retry_after_is_heard_in_both_forms(model_client: ModelClient, upstream: OpenAIServer) -> None:
    upstream.fault = Status(429, retry_after="12")
    with pytest.raises(ModelUnavailableError) as raised:
        await ask(model_client)
    assert raised.value.retry_after == 12
    then = datetime.now(UTC) + timedelta(hours=1)
    upstream.fault = Status(503, retry_after=format_datetime(then, usegmt=True))
    with pytest.raises(ModelUnavailableError) as raised:
        await ask(model_client)
    assert raised.value.retry_after == pytest.approx(3600, abs=60)


async def test_a_time_in_place_of_a_number_parks_no_step_for_decades(
    model_client: ModelClient, upstream: OpenAIServer
) -> None:
    for wrong in ("1792567680", "1e300", "Fri, 31 Dec 9999 23:59:59 GMT"):
        upstream.fault = Status(429, retry_after=wrong)
        with pytest.raises(ModelUnavailableError) as raised:
            await ask(model_client)
        assert scrubbed(raised.value).next_retry_delay == timedelta(days=1)


async def test_a_proxy_that_is_down_is_an_outage() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        async with ModelClient.open(f"http://127.0.0.1:{unused.getsockname()[1]}") as client:
            with pytest.raises(ModelUnavailableError) as raised:
                await ask(client)
            assert raised.value.status is None
            assert not await client.ready()


@pytest.mark.parametrize("fault", [Html(), TruncatedJson(), Reset(), Slow(30)], ids=repr)
async def test_without_the_proxy_between_a_fault_is_an_outage_too(fault: Fault) -> None:
    async with OpenAIServer(fault=fault) as server, ModelClient.open(server.url, timeout_completion=0.3) as client:
        with pytest.raises(ModelUnavailableError) as raised:
            await ask(client)
        assert SECRET not in str(raised.value)
        assert raised.value.__cause__ is None


async def test_ready_follows_the_proxy(model_client: ModelClient, upstream: OpenAIServer) -> None:
    assert await model_client.ready()
    await upstream.down()
    await asyncio.sleep(1.1)
    assert not await model_client.ready()


async def test_an_answer_without_text_or_usage_is_empty(model_client: ModelClient, upstream: OpenAIServer) -> None:
    upstream.fault = Body(b'{"choices": [{"message": {"content": null}, "finish_reason": "length"}]}')
    assert await ask(model_client) == Completion("", "length", 0, 0)
