"""JSON schemas of the tools, from the one Pydantic definition of each."""

from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema

Schema = dict[str, Any]
_NULL: Schema = {"type": "null"}
# What both OpenAI's and Anthropic's strict mode take of a property; all else is said in words.
_STRICT = ("type", "enum", "items", "anyOf", "description")


class _Untitled(GenerateJsonSchema):
    def field_title_should_be_set(self, schema: object) -> bool:
        del schema
        return False


def input_schema(arguments: type[BaseModel]) -> Schema:
    """Give the schema with every bound, where what is optional may be left out."""
    return _bare(arguments.model_json_schema(schema_generator=_Untitled))


def output_schema(answer: type[BaseModel]) -> Schema:
    return _bare(answer.model_json_schema(mode="serialization", schema_generator=_Untitled))


def strict_schema(arguments: type[BaseModel]) -> Schema:
    """Give the schema that strict tool calling takes: every argument is named, and null is for what is left out."""
    schema = input_schema(arguments)
    properties: Schema = schema["properties"]
    required = schema.get("required", [])
    return {
        "type": "object",
        "properties": {name: _strict(one, is_required=name in required) for name, one in properties.items()},
        "required": list(properties),
        "additionalProperties": False,
    }


def _bare(schema: Schema) -> Schema:
    """Leave out what speaks to programmers: the names and docstrings of classes."""
    bare = {name: value for name, value in schema.items() if name not in ("title", "description")}
    if "$defs" in bare:
        bare["$defs"] = {name: _bare(one) for name, one in bare["$defs"].items()}
    return bare


def _strict(found: Schema, *, is_required: bool) -> Schema:
    choices = [one for one in found.get("anyOf", [found]) if one != _NULL]
    [only] = choices
    kept = {name: value for name, value in only.items() if name in _STRICT and name != "description"}
    words = " ".join([found.get("description", ""), *_bounds(only)]).strip()
    if is_required:
        return {**kept, "description": words}
    default = found.get("default")
    words += " Null leaves it out." if default is None else f" Null is for {_said(default)}."
    return {"anyOf": [kept, _NULL], "description": words}


def _bounds(schema: Schema) -> list[str]:
    """Say in words what strict mode takes no keyword for; the arguments are checked all the same."""
    if "maximum" in schema:
        return [f"{schema['minimum']} to {schema['maximum']}."]
    if "maxLength" in schema:
        return [f"{schema['maxLength']} characters at most."]
    return []


def _said(default: object) -> str:
    return ", ".join(default) if isinstance(default, list) else str(default)
