"""What a stream cost: upstreams are always asked to say it, and callers that did not ask are not told."""

import json
from typing import Any

from services.llm_proxy.sse import data_of
from services.llm_proxy.wire import ChatRequest


def wants_usage(request: ChatRequest) -> bool:
    return bool(_options(request).get("include_usage"))


def asking_for_usage(request: ChatRequest) -> ChatRequest:
    return request.model_copy(update={"stream_options": {**_options(request), "include_usage": True}})


class StreamUsage:
    """Reads the usage as events go by; `usage` is None until one has said it."""

    def __init__(self) -> None:
        self.usage: dict[str, Any] | None = None
        self.events = 0

    def read(self, event: bytes) -> bool:
        """Note what an event says, and tell whether it says nothing but usage."""
        self.events += 1
        # Inside a string the quotes would be escaped.
        if b'"usage"' not in event:
            return False
        chunk = json.loads(data_of(event))
        usage = chunk.get("usage")
        if not isinstance(usage, dict):
            return False
        self.usage = usage
        return not chunk.get("choices")


def _options(request: ChatRequest) -> dict[str, Any]:
    options = (request.model_extra or {}).get("stream_options")
    return options if isinstance(options, dict) else {}
