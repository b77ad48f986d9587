"""What the environment says. A secret may stand in a file instead, as containers are given theirs."""

import os
from pathlib import Path

from afterturn_client.errors import InvalidFieldError

FILE_SUFFIX = "_FILE"


def given(name: str) -> str | None:
    """Give the value of a variable, or what is in the file that `{name}_FILE` names; None where neither is set."""
    value, path = os.environ.get(name) or None, os.environ.get(name + FILE_SUFFIX) or None
    if value and path:
        raise given_twice(name)
    return read_file(name, path) if path else value


def read_file(name: str, path: str) -> str:
    """Read the value of a variable, without the line's end."""
    try:
        value = Path(path).read_text("utf-8").rstrip("\r\n")
    except (OSError, ValueError):
        raise InvalidFieldError(name + FILE_SUFFIX, "the path of a text file that can be read") from None
    if not value.strip():
        raise InvalidFieldError(name + FILE_SUFFIX, "the path of a file that is not empty")
    return value


def given_twice(name: str) -> InvalidFieldError:
    return InvalidFieldError(name + FILE_SUFFIX, f"nothing where {name} is set: one of the two")
