"""OpenAI's own Node client, unchanged, against the proxy. Left out, saying so, only where Node is not installed."""

import asyncio
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.integration.llm_proxy.conftest import StartProxy
from tests.support.node_program import node_is_missing, run_node
from tests.support.openai_server import (
    COMPLETIONS,
    Body,
    Fault,
    OpenAIServer,
    Slow,
    Status,
    StreamBreak,
    hashed_vector,
)

PROGRAM = Path(__file__).parents[2] / "support" / "node_client" / "exercise.mjs"
NAMES = {
    400: "BadRequestError",
    401: "AuthenticationError",
    403: "PermissionDeniedError",
    404: "NotFoundError",
    409: "ConflictError",
    422: "UnprocessableEntityError",
    429: "RateLimitError",
    500: "InternalServerError",
    503: "InternalServerError",
}
CALL = {"id": "call-1", "type": "function", "function": {"name": "look", "arguments": '{"at": "sea"}'}}
pytestmark = pytest.mark.skipif(node_is_missing() is not None, reason=str(node_is_missing()))


def streamed_call() -> bytes:
    """A tool call whose arguments come in two pieces."""
    parts = [
        {"role": "assistant", "tool_calls": [{**CALL, "index": 0, "function": {"name": "look", "arguments": '{"at'}}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": '": "sea"}'}}]},
    ]
    common = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "chat-model"}
    choices: list[dict[str, Any]] = [{"index": 0, "delta": part, "finish_reason": None} for part in parts]
    choices.append({"index": 0, "delta": {}, "finish_reason": "tool_calls"})
    return b"".join(b"data: " + json.dumps({**common, "choices": [one]}).encode() + b"\n\n" for one in choices)


class Script:
    """What the upstream does when the client says so."""

    def __init__(self) -> None:
        self.said: Counter[str] = Counter()

    def answer(self, request: dict[str, Any]) -> str | dict[str, Any]:
        said = request["messages"][-1]["content"]
        if said == "call":
            return {"role": "assistant", "content": None, "tool_calls": [CALL]}
        return '{"city": "Lima"}' if said == "json" else f"You said: {said}"

    def fault(self, request: dict[str, Any]) -> Fault | None:
        said = str(request["messages"][-1]["content"]) if "messages" in request else ""
        self.said[said] += 1
        if said.startswith("fail "):
            return Status(int(said.removeprefix("fail ")), retry_after="5")
        if said == "busy once" and self.said[said] == 1:
            return Status(429, retry_after="0")
        faults: dict[str, Fault] = {
            "break": StreamBreak("reset", after=3),
            "stall": StreamBreak("stall", after=1),
            "wait": Slow(60),
            "stream a call": Body(streamed_call() + b"data: [DONE]\n\n", content_type="text/event-stream"),
        }
        return faults.get(said)


@pytest.fixture
async def results(upstream: OpenAIServer, start_proxy: StartProxy, tmp_path: Path) -> dict[str, Any]:
    script = Script()
    upstream.answer, upstream.refuses = script.answer, script.fault
    url = await start_proxy(openai_compatible_url=upstream.url, completion_timeout=30)
    # What follows needs no fixture of its own each: the program says all of it in one run.
    told: dict[str, Any] = json.loads(await run_node(PROGRAM, f"{url}/v1", work_folder=tmp_path))
    return {name: one.get("answered", one) for name, one in told.items()}


async def test_the_node_client_gets_what_it_asks_for(results: dict[str, Any], upstream: OpenAIServer) -> None:
    assert results["chat"].pop("requestId")
    usage = {"prompt_tokens": 2, "completion_tokens": 4, "total_tokens": 6}
    assert results["chat"] == {"text": "You said: Hello there", "usage": usage}
    assert results["stream"] == {
        "text": "You said: one two three",
        "usage": {"prompt_tokens": 3, "completion_tokens": 5, "total_tokens": 8},
    }
    assert results["gatheredStream"] == {"text": "You said: one two three", "finishReason": "stop"}
    assert results["schema"] == {"city": "Lima"}
    assert results["retry"] == "You said: busy once"
    check_tools(results["tools"])
    [asked, _streamed] = [body for body in upstream.asked(COMPLETIONS) if "tools" in body]
    assert (asked["tools"][0]["function"]["name"], asked["tool_choice"]) == ("look", "required")
    check_embeddings(results["embeddings"])
    check_models(results["models"])
    check_errors(results)
    check_streams_that_end_early(results)
    # One whose time is up on a busy machine may never have come to the upstream.
    left = [body for body in upstream.asked(COMPLETIONS) if body["messages"][-1]["content"] in ("stall", "wait")]
    await until_abandoned(upstream, len(left))


def check_tools(tools: dict[str, Any]) -> None:
    assert tools["whole"] == [CALL]
    [streamed] = tools["streamed"]
    assert (streamed["id"], streamed["function"]["name"]) == ("call-1", "look")
    assert json.loads(streamed["function"]["arguments"]) == {"at": "sea"}


def check_embeddings(embeddings: dict[str, Any]) -> None:
    expected = [hashed_vector(text, {"dimensions": 5}) for text in ("first", "second")]
    assert embeddings["numbers"] == [pytest.approx(vector) for vector in expected]
    assert embeddings["packed"] == [pytest.approx(vector, abs=1e-6) for vector in expected]
    assert embeddings["usage"] == {"prompt_tokens": 2, "total_tokens": 2}


def check_models(models: dict[str, Any]) -> None:
    assert (models["ids"], models["one"]) == (["chat-model", "embedding-model"], "chat-model")
    missing = models["missing"]
    assert (missing["name"], missing["code"], missing["param"]) == ("NotFoundError", "model_not_found", "model")


def check_errors(results: dict[str, Any]) -> None:
    assert {int(status): error["name"] for status, error in results["errors"].items()} == NAMES
    for status, error in results["errors"].items():
        assert (error["status"], error["retryAfter"]) == (int(status), "5")
        assert error["requestId"]
    refused = results["refusedField"]
    assert (refused["name"], refused["param"]) == ("BadRequestError", "temperature")
    assert results["timeout"]["name"] == "APIConnectionTimeoutError"


def check_streams_that_end_early(results: dict[str, Any]) -> None:
    assert results["brokenStream"]["text"] == "You said:"
    failure = results["brokenStream"]["failure"]
    assert (failure["name"], failure["code"]) == ("APIError", "upstream_unreachable")
    assert results["streamLeft"] == 1


async def until_abandoned(upstream: OpenAIServer, times: int) -> None:
    async with asyncio.timeout(20):
        while upstream.abandoned < times:
            await asyncio.sleep(0.01)
