"""Writes docs/configuration.md from the settings: `python -m tests.support.configuration_page`."""

import inspect
import json
from pathlib import Path
from typing import Any

from pydantic_core import PydanticUndefined

from services import settings
from services.settings import ResourceSettings

PAGE = Path(__file__).parents[2] / "docs" / "configuration.md"
_HEAD = """# Configuration

<!-- Written by `python -m tests.support.configuration_page`; a test fails where it is stale. -->

Every setting is an environment variable, or a line of `.env` in the folder where a program starts; what is set in the
environment stands. A wrong value ends the program at its start, and names the variable and what it takes.
Any of them may stand in a file instead: `DATABASE_URL_FILE=/run/secrets/database_url` (see
[secrets from files](encryption.md#secrets-from-files)).
[compose/.env.example](../compose/.env.example) says of each what it is for, and has the variables of the compose files
besides. Temporal's client reads its own: `TEMPORAL_ADDRESS`, `TEMPORAL_NAMESPACE`, `TEMPORAL_API_KEY`, profiles.
"""
_KINDS = {"integer": "a whole number", "number": "a number", "boolean": "`true` or `false`", "object": "JSON"}
_LIMITS = {
    "minimum": "{} and more",
    "exclusiveMinimum": "more than {}",
    "maximum": "{} at most",
    "minLength": "so many characters at least: {}",
}


def page() -> str:
    return _HEAD + "".join(_section(kind) for kind in classes())


def classes() -> list[type[ResourceSettings]]:
    found = [kind for kind in vars(settings).values() if isinstance(kind, type) and issubclass(kind, ResourceSettings)]
    return [kind for kind in found if kind is not ResourceSettings]


def _section(kind: type[ResourceSettings]) -> str:
    inherited = {name for parent in kind.__bases__ for name in getattr(parent, "model_fields", {})}
    schema = kind.model_json_schema()
    rows = [
        f"| `{name.upper()}` | {_takes(schema['properties'][name], schema)} | {_default(kind, name)} |\n"
        for name in kind.model_fields
        if name not in inherited
    ]
    title = kind.__name__.removesuffix("Settings")
    said = " ".join(inspect.cleandoc(kind.__doc__ or "").split())
    head = f"\n## {title}\n\n{_in_capitals(said, kind)}\n\n" if said else f"\n## {title}\n\n"
    return f"{head}| variable | takes | default |\n| --- | --- | --- |\n{''.join(rows)}"


def _takes(given: dict[str, Any], schema: dict[str, Any]) -> str:
    choices = [choice for choice in given.get("anyOf", [given]) if choice.get("type") != "null"]
    return " or ".join(_kind(choice, schema) for choice in choices).replace("|", "\\|")


def _kind(given: dict[str, Any], schema: dict[str, Any]) -> str:
    if "enum" in given:
        return ", ".join(f"`{value}`" for value in given["enum"])
    if given.get("format") == "password":
        kind = "a secret"
    elif str(given.get("format", "")).endswith("path"):
        kind = "a path"
    else:
        kind = {
            "integer": "a whole number",
            "number": "a number",
            "boolean": "`true` or `false`",
            "object": "JSON",
        }.get(given["type"], "text")
    limits = [says.format(f"{given[name]:,}") for name, says in _LIMITS.items() if name in given]
    limits += [f"`{given['pattern']}`"] if "pattern" in given else []
    return f"{kind}: {', '.join(limits)}" if limits else kind


def _default(kind: type[ResourceSettings], name: str) -> str:
    field = kind.model_fields[name]
    value = field.get_default(call_default_factory=True)
    if value is None or value == "" or value is PydanticUndefined:
        return ""
    return f"`{json.dumps(value) if isinstance(value, bool | dict) else value}`"


def _in_capitals(said: str, kind: type[ResourceSettings]) -> str:
    for name in kind.model_fields:
        said = said.replace(f"`{name}`", f"`{name.upper()}`")
    return said


if __name__ == "__main__":
    PAGE.write_text(page())
