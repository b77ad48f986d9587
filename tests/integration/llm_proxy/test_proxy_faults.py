import asyncio
import logging
import socket
from typing import Any

import httpx
import pytest

from tests.integration.llm_proxy.conftest import StartProxy
from tests.support.openai_server import (
    COMPLETIONS,
    Body,
    Fault,
    Html,
    OpenAIServer,
    Reset,
    Slow,
    Status,
)

SECRET = "the-heron-flies-at-dawn"
COMPLETION: dict[str, Any] = {"model": "chat-model", "messages": [{"role": "user", "content": SECRET}]}
EMBEDDING: dict[str, Any] = {"model": "embedding-model", "input": SECRET}
BOTH = pytest.mark.parametrize(("path", "body"), [("/v1/chat/completions", COMPLETION), ("/v1/embeddings", EMBEDDING)])


def check_shape(answer: httpx.Response) -> dict[str, Any]:
    assert answer.json().keys() == {"error"}
    error: dict[str, Any] = answer.json()["error"]
    assert error.keys() == {"message", "type", "param", "code"}
    assert isinstance(error["message"], str)
    assert error["code"] is None or isinstance(error["code"], str)
    return error


@BOTH
@pytest.mark.parametrize("status", [400, 402, 404, 408, 409, 413, 422, 425, 429, 500, 502, 503, 504, 529])
async def test_an_upstreams_error_keeps_its_status(
    http: httpx.AsyncClient, upstream: OpenAIServer, path: str, body: dict[str, Any], status: int
) -> None:
    upstream.fault = Status(status, retry_after="17")
    answer = await http.post(path, json=body)
    assert answer.status_code == status
    assert answer.headers["Retry-After"] == "17"
    error = {"message": f"scripted {status}", "type": "scripted_error", "param": None, "code": "scripted"}
    assert check_shape(answer) == error


@pytest.mark.parametrize("status", [401, 403])
async def test_a_refused_credential_stays_between_proxy_and_upstream(
    http: httpx.AsyncClient, upstream: OpenAIServer, status: int
) -> None:
    upstream.fault = Status(status, body=b'{"error": {"message": "Incorrect API key: sk-12"}}')
    answer = await http.post("/v1/chat/completions", json=COMPLETION)
    assert answer.status_code == status
    assert "sk-12" not in answer.text
    check_shape(answer)


@pytest.mark.parametrize("body", [b"<html>Bad gateway</html>", b"", b"[]", b'{"error": "no memory"}', b'{"error": {}}'])
async def test_an_error_in_any_words_gets_openais_shape(
    http: httpx.AsyncClient, upstream: OpenAIServer, body: bytes
) -> None:
    upstream.fault = Status(503, body=body)
    answer = await http.post("/v1/chat/completions", json=COMPLETION)
    assert answer.status_code == 503
    assert check_shape(answer)["message"]


@BOTH
@pytest.mark.parametrize(
    "fault",
    [
        Body(b"null"),
        Body(b"{}"),
        Body(b'{"choices": []}'),
        Body(b'{"choices": [{"message": null}]}'),
        Body(b'{"data": [{"index": 1, "embedding": [0.5]}]}'),
        Body(b'{"data": [{"index": 0, "embedding": []}]}'),
        Body(b'{"data": [{"index": 0, "embedding": [NaN]}]}'),
        Body(b'{"data": [{"index": 0, "embedding": [1.0]}, {"index": 0, "embedding": [1.0]}]}'),
        Status(301),
        Status(204, body=b""),
    ],
    ids=repr,
)
async def test_an_answer_that_is_none_is_a_bad_gateway(
    http: httpx.AsyncClient, upstream: OpenAIServer, path: str, body: dict[str, Any], fault: Fault
) -> None:
    upstream.fault = fault
    answer = await http.post(path, json=body)
    assert answer.status_code == 502
    check_shape(answer)
    upstream.fault = None
    assert (await http.post(path, json=body)).status_code == 200


async def test_an_error_inside_a_200_is_an_error(http: httpx.AsyncClient, upstream: OpenAIServer) -> None:
    upstream.fault = Body(b'{"error": {"message": "busy", "code": 429}}')
    assert (await http.post("/v1/chat/completions", json=COMPLETION)).status_code == 429
    upstream.fault = Body(b'{"error": "busy"}')
    assert (await http.post("/v1/chat/completions", json=COMPLETION)).status_code == 502


async def test_a_model_of_an_upstream_that_never_answered_is_an_outage(start_proxy: StartProxy) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = await start_proxy(ollama_url_internal=f"http://127.0.0.1:{unused.getsockname()[1]}")
        async with httpx.AsyncClient(base_url=url, timeout=30, trust_env=False) as http:
            assert (await http.post("/v1/chat/completions", json=COMPLETION)).status_code == 502
            assert (await http.get("/v1/models")).status_code == 502
            assert (await http.get("/ready")).status_code == 503


async def test_an_unknown_model_is_not_found(http: httpx.AsyncClient, upstream: OpenAIServer) -> None:
    answer = await http.post("/v1/chat/completions", json={**COMPLETION, "model": "no-such-model"})
    assert answer.status_code == 404
    assert check_shape(answer)["code"] == "model_not_found"
    assert (await http.get("/v1/models/no-such-model")).status_code == 404
    assert upstream.calls[COMPLETIONS] == 0


async def test_a_model_that_was_just_pulled_is_found(http: httpx.AsyncClient, upstream: OpenAIServer) -> None:
    assert (await http.post("/v1/chat/completions", json={**COMPLETION, "model": "pulled"})).status_code == 404
    upstream.models.append("pulled")
    await asyncio.sleep(1.1)
    assert (await http.post("/v1/chat/completions", json={**COMPLETION, "model": "pulled"})).status_code == 200


async def test_a_server_without_a_list_takes_any_model(http: httpx.AsyncClient, upstream: OpenAIServer) -> None:
    upstream.fault = Status(404, everywhere=True)
    assert (await http.get("/ready")).status_code == 200
    upstream.fault = None
    assert (await http.post("/v1/chat/completions", json=COMPLETION)).status_code == 200


async def test_each_model_goes_to_the_upstream_that_has_it(start_proxy: StartProxy) -> None:
    async with OpenAIServer(models=["one"]) as ollama, OpenAIServer(models=["two"]) as other:
        url = await start_proxy(
            ollama_url_internal=ollama.url, openai_compatible_url=f"{other.url}/v1", openai_compatible_api_key="key-1"
        )
        async with httpx.AsyncClient(base_url=url, timeout=30, trust_env=False) as http:
            for model in ("one", "two"):
                assert (await http.post("/v1/chat/completions", json={**COMPLETION, "model": model})).is_success
            await ollama.down()
            assert (await http.post("/v1/chat/completions", json={**COMPLETION, "model": "two"})).is_success
            assert (await http.post("/v1/chat/completions", json={**COMPLETION, "model": "one"})).status_code == 502
            # It may be a model of the one that is down: an outage, not an unknown name.
            await asyncio.sleep(1.1)
            assert (await http.post("/v1/chat/completions", json={**COMPLETION, "model": "three"})).status_code == 502
            assert [card["id"] for card in (await http.get("/v1/models")).json()["data"]] == ["two"]
        assert (ollama.calls[COMPLETIONS], other.calls[COMPLETIONS]) == (1, 2)
        assert "authorization" not in ollama.headers[-1]
        assert other.headers[-1]["authorization"] == "Bearer key-1"


@pytest.mark.parametrize(
    ("path", "body", "param"),
    [
        ("/v1/chat/completions", {"model": "chat-model"}, "messages"),
        ("/v1/chat/completions", {"model": "chat-model", "messages": []}, "messages"),
        (
            "/v1/chat/completions",
            {**COMPLETION, "messages": [{"role": "narrator", "content": SECRET}]},
            "messages[0].role",
        ),
        ("/v1/chat/completions", {**COMPLETION, "messages": [{"role": "user", "content": 7}]}, "messages[0].content"),
        ("/v1/chat/completions", {**COMPLETION, "model": None}, "model"),
        ("/v1/chat/completions", {**COMPLETION, "max_tokens": 0}, "max_tokens"),
        ("/v1/chat/completions", {**COMPLETION, "temperature": 9}, "temperature"),
        ("/v1/chat/completions", [], "body"),
        ("/v1/embeddings", {"model": "embedding-model"}, "input"),
        ("/v1/embeddings", {**EMBEDDING, "input": []}, "input"),
        ("/v1/embeddings", {**EMBEDDING, "input": [SECRET, 1]}, "input"),
        ("/v1/embeddings", {**EMBEDDING, "input": [[]]}, "input"),
        ("/v1/embeddings", {**EMBEDDING, "input": [True]}, "input"),
        ("/v1/embeddings", {**EMBEDDING, "input": ["x"] * 2049}, "input"),
        ("/v1/embeddings", {**EMBEDDING, "encoding_format": "hex"}, "encoding_format"),
        ("/v1/embeddings", {**EMBEDDING, "dimensions": 0}, "dimensions"),
        ("/v1/embeddings", {**EMBEDDING, "input_type": "document"}, "input_type"),
    ],
)
async def test_a_bad_request_names_its_field_and_quotes_nothing(
    http: httpx.AsyncClient, path: str, body: Any, param: str
) -> None:
    answer = await http.post(path, json=body)
    assert answer.status_code == 400
    error = check_shape(answer)
    assert (error["param"], error["type"]) == (param, "invalid_request_error")
    assert param in error["message"]
    assert SECRET not in answer.text


@pytest.mark.parametrize("body", [b"{", b"\xff", b"", b"[" * 100_000])
async def test_a_body_that_is_no_json_is_a_bad_request(http: httpx.AsyncClient, body: bytes) -> None:
    headers = {"Content-Type": "application/json"}
    answer = await http.post("/v1/chat/completions", content=body, headers=headers)
    assert answer.status_code == 400
    check_shape(answer)


async def test_an_unknown_route_and_a_wrong_method_have_openais_shape(http: httpx.AsyncClient) -> None:
    answers = [await http.get("/v1/nothing"), await http.get("/v1/chat/completions")]
    assert [answer.status_code for answer in answers] == [404, 405]
    for answer in answers:
        check_shape(answer)


async def test_a_body_that_is_too_long_is_refused(upstream: OpenAIServer, start_proxy: StartProxy) -> None:
    url = await start_proxy(openai_compatible_url=upstream.url, llm_proxy_max_body_bytes=2000)
    async with httpx.AsyncClient(base_url=url, timeout=30, trust_env=False) as http:
        long = {**COMPLETION, "messages": [{"role": "user", "content": "x" * 2000}]}
        answer = await http.post("/v1/chat/completions", json=long)
        assert answer.status_code == 413
        check_shape(answer)
        assert (await http.post("/v1/chat/completions", json=COMPLETION)).status_code == 200


async def test_a_model_without_these_dimensions_says_so(http: httpx.AsyncClient, upstream: OpenAIServer) -> None:
    upstream.embed = lambda _text, _request: [0.5, 0.5]
    answer = await http.post("/v1/embeddings", json={**EMBEDDING, "dimensions": 3})
    assert (answer.status_code, check_shape(answer)["param"]) == (400, "dimensions")


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_caller_that_hangs_up_frees_the_upstream(
    patient: httpx.AsyncClient, upstream: OpenAIServer, *, streamed: bool
) -> None:
    upstream.fault = Slow(600)
    asking = asyncio.create_task(patient.post("/v1/chat/completions", json={**COMPLETION, "stream": streamed}))
    while not upstream.calls[COMPLETIONS]:
        await asyncio.sleep(0.01)
    asking.cancel()
    while not upstream.abandoned:
        await asyncio.sleep(0.01)


@pytest.mark.parametrize("time_limit", [1.0])
async def test_no_content_is_logged(
    http: httpx.AsyncClient, upstream: OpenAIServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    quoting = f'{{"error": {{"message": "cannot read {SECRET}"}}}}'.encode()
    for fault in (None, Status(500, body=quoting), Status(400, body=quoting), Html(), Reset(), Slow(9)):
        upstream.fault = fault
        for path, body in (("/v1/chat/completions", COMPLETION), ("/v1/embeddings", EMBEDDING)):
            await http.post(path, json=body)
    assert caplog.records
    assert SECRET not in caplog.text
