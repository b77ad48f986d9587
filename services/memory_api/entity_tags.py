"""ETags: a memory's is the id of the version that stands, a named value's the number of its version."""

import re
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import Header

from services.memory_api.problems import ProblemError

_PATTERN = r'^(\*|(W/)?"[!#-~]{0,100}"(\s*,\s*(W/)?"[!#-~]{0,100}"){0,9})$'
# Postgres counts no further.
_MOST = 2**63
_TAG = re.compile(r'(W/)?"([^"]*)"')


def _header(alias: str, description: str) -> Any:  # noqa: ANN401  what FastAPI makes of it
    return Header(alias=alias, pattern=_PATTERN, max_length=2_000, description=description)


IfMatch = Annotated[str | None, _header("If-Match", "The ETag of what stands, or `*` for whatever stands.")]
IfNoneMatch = Annotated[str | None, _header("If-None-Match", "An ETag, or `*` for nothing.")]


def etag(version: UUID | int) -> str:
    return f'"{version}"'


def is_named(if_none_match: str | None, version: UUID | int) -> bool:
    """Whether the caller has this version already."""
    if if_none_match is None:
        return False
    return if_none_match == "*" or str(version) in (found[2] for found in _TAG.finditer(if_none_match))


def expected(if_match: str | None, if_none_match: str | None) -> UUID | Literal["nothing", "anything"]:
    """Give what must stand for a change; raise 428 where the caller does not say, and 412 for what cannot stand."""
    if if_match is not None:
        return _one_of(if_match)
    if if_none_match is None:
        raise ProblemError(428, "Send If-Match with the ETag that was read, or If-None-Match: * to save a new one.")
    if if_none_match != "*":
        raise ProblemError(412, "If-None-Match takes * here.")
    return "nothing"


def expected_number(if_match: str | None, if_none_match: str | None) -> int | Literal["anything"] | None:
    """Give the version that must stand, 0 for none; None where the caller takes any, or none. Raise 412 as above."""
    if if_match is not None:
        tag = _tag(if_match)
        if tag is not None and not (tag.isascii() and tag.isdecimal() and 0 < int(tag) < _MOST):
            raise ProblemError(412, "No version has this ETag.")
        return "anything" if tag is None else int(tag)
    if if_none_match is not None and if_none_match != "*":
        raise ProblemError(412, "If-None-Match takes * here.")
    return None if if_none_match is None else 0


def _one_of(if_match: str) -> UUID | Literal["anything"]:
    tag = _tag(if_match)
    if tag is None:
        return "anything"
    try:
        return UUID(tag)
    except ValueError:
        raise ProblemError(412, "No version has this ETag.") from None


def _tag(if_match: str) -> str | None:
    """Give the one tag; None for `*`."""
    if if_match == "*":
        return None
    tags = list(_TAG.finditer(if_match))
    # A weak tag never matches, and of several only one can stand.
    if len(tags) != 1 or tags[0][1]:
        raise ProblemError(412, "If-Match takes one strong ETag here.")
    return tags[0][2]
