"""A whole completion made of the chunks of its stream."""

import json
from collections.abc import AsyncIterator
from typing import Any

from services.llm_proxy.sse import DONE, data_of

_TEXTS = ("content", "reasoning_content", "refusal")


async def gathered(events: AsyncIterator[bytes]) -> dict[str, Any]:
    """Put one choice together, as the same server would have answered unstreamed."""
    answer: dict[str, Any] = {}
    choice: dict[str, Any] = {"index": 0, "message": {"role": "assistant", "content": None}, "finish_reason": None}
    async for event in events:
        data = data_of(event)
        if data == DONE:
            break
        chunk = json.loads(data)
        answer |= {name: value for name, value in chunk.items() if name != "choices"}
        for part in chunk.get("choices") or ():
            _add_choice(choice, part)
    return {**answer, "object": "chat.completion", "choices": [choice]}


def _add_choice(choice: dict[str, Any], part: dict[str, Any]) -> None:
    choice["finish_reason"] = part.get("finish_reason") or choice["finish_reason"]
    if logprobs := part.get("logprobs"):
        choice.setdefault("logprobs", {"content": []})["content"] += logprobs.get("content") or []
    delta = part.get("delta") or {}
    message = choice["message"]
    for name in _TEXTS:
        if delta.get(name):
            message[name] = (message.get(name) or "") + delta[name]
    for call in delta.get("tool_calls") or ():
        _add_call(message.setdefault("tool_calls", []), call)


def _add_call(calls: list[dict[str, Any]], part: dict[str, Any]) -> None:
    """The first part of a call names it; the others add to its arguments."""
    index = part.get("index", 0)
    while len(calls) <= index:
        calls.append({"id": "", "type": "function", "function": {"name": "", "arguments": ""}})
    call, function = calls[index], part.get("function") or {}
    call["id"] = part.get("id") or call["id"]
    call["function"]["name"] += function.get("name") or ""
    call["function"]["arguments"] += function.get("arguments") or ""
