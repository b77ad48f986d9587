"""One definition of each tool: what strict tool calling takes, and what the tool itself takes of it."""

import json
from typing import Any

import pytest
from jsonschema_rs import Draft202012Validator, meta
from pydantic import ValidationError

from services.agent_tools.arguments import GetValue, KeepValue
from services.agent_tools.formats import in_format
from services.agent_tools.memory_tools import MEMORY_TOOLS
from services.agent_tools.schemas import input_schema, output_schema, strict_schema
from services.agent_tools.section_tools import SECTION_TOOLS
from services.agent_tools.tool import Tool
from services.domain.sections import MAX_KEY

# OpenAI's strict mode takes these, and wants every property required and no other let in; Anthropic's takes them too.
STRICT = {"type", "properties", "required", "additionalProperties", "description", "enum", "items", "anyOf"}
IDENTITY = {"user", "user_id", "company", "company_id", "owner", "owner_id", "tenant", "scope", "api_key", "credential"}
IDENTITY |= {"namespace", "section"}
SIX = (
    "search_user_memory",
    "save_user_memory",
    "search_company_memory",
    "save_company_memory",
    "get_context",
    "delete_memory",
)
FIVE = ("search_facts", "get_fact", "store_fact", "get_preference", "set_preference")
TOOLS = (*MEMORY_TOOLS, *SECTION_TOOLS)
TEXT = {
    "query": "Lima",
    "slug": "city",
    "content": "Ana lives in Lima.",
    "about": "user",
    "key": "city",
    "value": "Lima",
}

each_tool = pytest.mark.parametrize("tool", TOOLS, ids=[tool.name for tool in TOOLS])


def schemas_in(schema: Any) -> list[dict[str, Any]]:
    """Give the schema and all within it."""
    match schema:
        case {"properties": properties}:
            return [schema, *(inner for one in properties.values() for inner in schemas_in(one))]
        case {"anyOf": choices}:
            return [schema, *(inner for one in choices for inner in schemas_in(one))]
        case {"items": items}:
            return [schema, *schemas_in(items)]
    return [schema]


def least(schema: dict[str, Any]) -> dict[str, Any]:
    """Give what a model says that leaves out all that it may."""
    required = {name for name, one in schema["properties"].items() if "anyOf" not in one}
    return {name: TEXT[name] if name in required else None for name in schema["properties"]}


def test_there_are_six_and_five_of_the_section_store() -> None:
    assert (tuple(tool.name for tool in MEMORY_TOOLS), tuple(tool.name for tool in SECTION_TOOLS)) == (SIX, FIVE)


@pytest.mark.parametrize("key", ["", "Shoe size", "a b", "_a", "a" * 256, "a\n", "ñ", None, 7])
def test_an_agent_keeps_values_under_plain_keys_and_reads_any(key: Any) -> None:
    """An application may have chosen any text as a key."""
    with pytest.raises(ValidationError):
        KeepValue.model_validate({"key": key, "value": "42"})
    if isinstance(key, str) and 0 < len(key) <= MAX_KEY:
        assert GetValue.model_validate({"key": key}).key == key
    with pytest.raises(ValidationError):
        KeepValue.model_validate({"key": "shoe_size", "value": "42", "namespace": "default"})


@each_tool
def test_strict_schemas_use_what_strict_mode_takes(tool: Tool) -> None:
    schema = strict_schema(tool.arguments)
    meta.validate(schema)
    for one in schemas_in(schema):
        assert set(one) <= STRICT
        if one.get("type") == "object":
            assert one["required"] == list(one["properties"])
            assert one["additionalProperties"] is False
    assert all(one.get("description") for one in schema["properties"].values())


@each_tool
def test_no_schema_asks_who_somebody_is(tool: Tool) -> None:
    for schema in (strict_schema(tool.arguments), input_schema(tool.arguments)):
        assert not IDENTITY & set(schema["properties"])
        assert schema["additionalProperties"] is False


@each_tool
def test_what_a_strict_schema_lets_through_the_tool_takes(tool: Tool) -> None:
    schema = strict_schema(tool.arguments)
    said = least(schema)
    Draft202012Validator(schema).validate(said)
    taken = tool.arguments.model_validate(said)
    assert taken == tool.arguments.model_validate_json(json.dumps(said))
    bare = {name: value for name, value in said.items() if value is not None}
    Draft202012Validator(input_schema(tool.arguments)).validate(bare)
    assert tool.arguments.model_validate(bare) == taken


@each_tool
def test_answers_have_schemas_that_say_what_each_field_is(tool: Tool) -> None:
    schema = output_schema(tool.answer)
    meta.validate(schema)
    assert schema["type"] == "object"
    assert set(schema["required"]) == set(tool.answer.model_fields)


def test_the_two_formats_say_the_same() -> None:
    openai, anthropic = in_format(TOOLS, "openai"), in_format(TOOLS, "anthropic")
    for ours, theirs in zip(openai, anthropic, strict=True):
        assert (ours["type"], ours["function"]["strict"], theirs["strict"]) == ("function", True, True)
        assert ours["function"]["parameters"] == theirs["input_schema"]
        assert (ours["function"]["name"], ours["function"]["description"]) == (theirs["name"], theirs["description"])
