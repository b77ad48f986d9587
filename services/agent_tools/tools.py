"""The tools that are offered, and the way to call one."""

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from services.agent_tools.arguments import Arguments
from services.agent_tools.memory_tools import MEMORY_INSTRUCTIONS, MEMORY_TOOLS
from services.agent_tools.section_tools import SECTION_INSTRUCTIONS, SECTION_TOOLS
from services.agent_tools.tool import Tool
from services.agent_tools.whose import Memory
from services.credential import Credential
from services.domain.errors import AfterturnError, InvalidInputError, TransientError

logger = logging.getLogger(__name__)

# What a wrong field is told to a model of; more would only fill its context.
_MOST_ERRORS = 5


@dataclass(frozen=True, slots=True)
class Answer:
    """What to hand to the model: `text` is `content` as JSON, or, where `is_error`, what went wrong."""

    text: str
    content: dict[str, Any] | None = None
    is_error: bool = False


def offered(memory: Memory) -> tuple[Tool, ...]:
    """Give the tools that there are here: those of memories, and of the section store where it was opened for them."""
    return MEMORY_TOOLS if memory.sections is None else (*MEMORY_TOOLS, *SECTION_TOOLS)


def instructions_of(memory: Memory) -> str:
    return MEMORY_INSTRUCTIONS if memory.sections is None else f"{MEMORY_INSTRUCTIONS} {SECTION_INSTRUCTIONS}"


def find_tool(memory: Memory, name: str) -> Tool | None:
    return next((tool for tool in offered(memory) if tool.name == name), None)


def tools_of(memory: Memory, caller: Credential) -> list[Tool]:
    """Give the tools that the credential's scopes let it use."""
    return [tool for tool in offered(memory) if any(caller.may(scope) for scope in tool.scopes)]


async def call(memory: Memory, caller: Credential, name: str, arguments: Mapping[str, Any] | str | None) -> Answer:
    """Call a tool, with arguments as an object or as its JSON; whatever goes wrong is told so that a model can act."""
    tool = find_tool(memory, name)
    if tool is None:
        return _refused(f"There is no such tool. There are: {', '.join(tool.name for tool in offered(memory))}.")
    try:
        answer = await tool.run(memory, caller, _read(tool, arguments))
    except ValidationError as error:
        return _refused(_wrong(tool, error))
    except AfterturnError as error:
        return _refused(told(error))
    except Exception as error:  # noqa: BLE001  its words may quote a memory: its type is all that may be told
        logger.error("%s failed with %s", tool.name, type(error).__name__)  # noqa: TRY400
        return _refused("The tool failed. Trying again may help.")
    content = answer.model_dump(mode="json")
    return Answer(json.dumps(content, ensure_ascii=False), content)


def _read(tool: Tool, arguments: Mapping[str, Any] | str | None) -> Arguments:
    if isinstance(arguments, str):
        return tool.arguments.model_validate_json(arguments or "{}")
    return tool.arguments.model_validate(dict(arguments or {}))


def _refused(text: str) -> Answer:
    return Answer(text, is_error=True)


def told(error: AfterturnError) -> str:
    """Say to a model what went wrong, and whether trying again helps."""
    if isinstance(error, InvalidInputError):
        return f"{error}."
    if isinstance(error, TransientError):
        return "A server that this needs is away. Nothing is lost; try again later."
    return str(error)


def _wrong(tool: Tool, error: ValidationError) -> str:
    """Name each wrong argument and what it takes, by our own names alone."""
    known = tool.arguments.model_fields
    lines = []
    for one in error.errors(include_input=False, include_url=False, include_context=False)[:_MOST_ERRORS]:
        field = str(one["loc"][0]) if one["loc"] else ""
        if field not in known:
            lines.append(f"arguments: takes a JSON object with {', '.join(known)} and nothing else.")
        else:
            words = known[field].description
            lines.append(f"{field}: {one['msg'].removeprefix('Value error, ')}.{f' {words}' if words else ''}")
    return "\n".join(dict.fromkeys(lines))
