"""A compose file as it stands: its services, with the variables filled in by compose's own rules."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

# `$$`, `${NAME}`, `${NAME:-else}`, `${NAME-else}` and `${NAME:?message}`: all that our files use, and no more. What
# stands in may hold variables itself, and what stands in for those may not.
_WORD = r"(?:[^{}]|\$\{[^{}]*\})*"
_VARIABLE = re.compile(rf"\$(?:(?P<escaped>\$)|\{{(?P<name>[A-Z0-9_]+)(?:(?P<rule>:-|-|:\?)(?P<word>{_WORD}))?\}})")


class VariableMissingError(Exception):
    pass


@dataclass(frozen=True)
class ComposeService:
    """`mounts` are folders of the checkout and named volumes by where they lie in the container."""

    name: str
    image: str
    command: list[str]
    environment: dict[str, str]
    mounts: dict[str, str]
    waits_for: dict[str, str]
    health: list[str] | None
    profiles: list[str]
    reads_env_file: bool
    runs_once: bool


def parsed(path: Path) -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load(path.read_text())
    return document


def variables_of(text: str) -> dict[str, str | None]:
    """Give each variable that is asked for, with what stands in for it; None where something must be given."""
    asked: dict[str, str | None] = {}
    for found in _VARIABLE.finditer(text):
        if found["name"]:
            stands_in = found["word"] or "" if found["rule"] in ("-", ":-") else None
            asked |= {found["name"]: stands_in, **variables_of(stands_in or "")}
    return asked


def read_services(path: Path, variables: Mapping[str, str]) -> dict[str, ComposeService]:
    filled = _filled(parsed(path)["services"], variables)
    return {name: _service(name, given) for name, given in filled.items()}


def _service(name: str, given: dict[str, Any]) -> ComposeService:
    volumes = [str(volume).split(":") for volume in given.get("volumes", ())]
    health = given.get("healthcheck", {}).get("test")
    return ComposeService(
        name=name,
        image=given["image"],
        command=[*given.get("entrypoint", ()), *given.get("command", ())],
        environment={key: str(value) for key, value in given.get("environment", {}).items()},
        mounts={parts[1]: parts[0] for parts in volumes},
        waits_for={other: how["condition"] for other, how in given.get("depends_on", {}).items()},
        health=_health(health) if health else None,
        profiles=given.get("profiles", []),
        reads_env_file="env_file" in given,
        runs_once=given.get("restart") == "no",
    )


def _health(test: list[str]) -> list[str]:
    kind, *words = test
    return words if kind == "CMD" else ["/bin/sh", "-c", *words]


def _filled(value: Any, variables: Mapping[str, str]) -> Any:
    if isinstance(value, str):
        return _VARIABLE.sub(lambda found: _value(found, variables), value)
    if isinstance(value, dict):
        return {key: _filled(each, variables) for key, each in value.items()}
    if isinstance(value, list):
        return [_filled(each, variables) for each in value]
    return value


def _value(found: re.Match[str], variables: Mapping[str, str]) -> str:
    if found["escaped"]:
        return "$"
    value = variables.get(found["name"])
    if value or (value is not None and found["rule"] == "-"):
        return value
    if found["rule"] == ":?":
        raise VariableMissingError(f"{found['name']}: {found['word']}")
    return str(_filled(found["word"] or "", variables))
