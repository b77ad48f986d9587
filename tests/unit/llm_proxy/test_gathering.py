import json
from collections.abc import AsyncIterator
from typing import Any

from services.llm_proxy.sse import event
from services.llm_proxy.upstreams.gathering import gathered

COMMON = {"id": "1", "object": "chat.completion.chunk", "created": 7, "model": "m"}


async def events(*chunks: dict[str, Any]) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield event(json.dumps({**COMMON, **chunk}).encode())
    yield event(b"[DONE]")


def delta(finish_reason: str | None = None, logprobs: dict[str, Any] | None = None, **of: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": of, "finish_reason": finish_reason, "logprobs": logprobs}]}


async def test_text_reason_and_usage_are_put_together() -> None:
    usage = {"prompt_tokens": 2, "completion_tokens": 3, "total_tokens": 5}
    answer = await gathered(
        events(
            delta(role="assistant", content=None),
            delta(content="one "),
            delta(reasoning_content="hm"),
            delta(content="two"),
            delta("length"),
            {"choices": [], "usage": usage},
        )
    )
    assert answer == {
        "id": "1",
        "object": "chat.completion",
        "created": 7,
        "model": "m",
        "usage": usage,
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "one two", "reasoning_content": "hm"},
                "finish_reason": "length",
            }
        ],
    }


async def test_tool_calls_are_put_together_by_their_index() -> None:
    def call(index: int, arguments: str, **more: Any) -> dict[str, Any]:
        return {"index": index, "function": {"arguments": arguments, **more.pop("function", {})}, **more}

    answer = await gathered(
        events(
            delta(tool_calls=[call(0, "", id="a", type="function", function={"name": "look"})]),
            delta(tool_calls=[call(0, '{"at"')]),
            delta(tool_calls=[call(1, "{}", id="b", type="function", function={"name": "wait"})]),
            delta(tool_calls=[call(0, ': "sea"}')]),
            delta("tool_calls"),
        )
    )
    [choice] = answer["choices"]
    assert choice["finish_reason"] == "tool_calls"
    assert choice["message"] == {
        "role": "assistant",
        "content": None,
        "tool_calls": [
            {"id": "a", "type": "function", "function": {"name": "look", "arguments": '{"at": "sea"}'}},
            {"id": "b", "type": "function", "function": {"name": "wait", "arguments": "{}"}},
        ],
    }


async def test_the_probabilities_of_all_tokens_are_kept() -> None:
    answer = await gathered(
        events(
            delta(content="a", logprobs={"content": [{"token": "a"}]}),
            delta("stop", content="b", logprobs={"content": [{"token": "b"}]}),
        )
    )
    assert answer["choices"][0]["logprobs"] == {"content": [{"token": "a"}, {"token": "b"}]}
