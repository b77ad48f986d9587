"""The tools as OpenAI's and Anthropic's tool calling want them."""

from collections.abc import Callable, Iterable
from typing import Any, Literal

from services.agent_tools.schemas import strict_schema
from services.agent_tools.tool import Tool

Format = Literal["openai", "anthropic"]


def as_openai(tool: Tool) -> dict[str, Any]:
    function = {"name": tool.name, "description": tool.description, "parameters": strict_schema(tool.arguments)}
    return {"type": "function", "function": {**function, "strict": True}}


def as_anthropic(tool: Tool) -> dict[str, Any]:
    return {
        "name": tool.name,
        "description": tool.description,
        "input_schema": strict_schema(tool.arguments),
        "strict": True,
    }


_FORMATS: dict[Format, Callable[[Tool], dict[str, Any]]] = {"openai": as_openai, "anthropic": as_anthropic}


def in_format(tools: Iterable[Tool], wanted: Format) -> list[dict[str, Any]]:
    return [_FORMATS[wanted](tool) for tool in tools]
