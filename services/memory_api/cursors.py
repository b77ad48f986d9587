"""Where a page ends, as an opaque word: the next page begins after it."""

import base64
import binascii
import json
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Annotated, Any, TypeVar
from uuid import UUID

from fastapi import Query

from services.memory_api.problems import wrong_field

ItemT = TypeVar("ItemT")
_TAKES = "the `next_cursor` of the page before"

CursorParam = Annotated[
    str | None,
    Query(max_length=1_000, pattern=r"^[A-Za-z0-9_-]+$", description="The `next_cursor` of the page before."),
]
LimitParam = Annotated[int, Query(ge=1, le=200, description="How many at the most.")]


def write_cursor(*parts: str | int | datetime | UUID) -> str:
    plain = [part if isinstance(part, (str, int)) else str(part) for part in parts]
    return base64.urlsafe_b64encode(json.dumps(plain).encode()).decode().rstrip("=")


def read_cursor(cursor: str | None, *kinds: Callable[[Any], Any]) -> list[Any] | None:
    """Give the parts of a cursor; raise a 422 for what none of ours is. None where there is no cursor."""
    if cursor is None:
        return None
    try:
        parts = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        if not isinstance(parts, list) or len(parts) != len(kinds):
            raise wrong_field("cursor", _TAKES)
        return [kind(part) for kind, part in zip(kinds, parts, strict=True)]
    except (ValueError, TypeError, OverflowError, binascii.Error):
        raise wrong_field("cursor", _TAKES) from None


def as_time(part: str) -> datetime:
    at = datetime.fromisoformat(part)
    if at.tzinfo is None:
        raise ValueError(_TAKES)
    return at


def as_text(part: object) -> str:
    if not isinstance(part, str) or "\x00" in part:
        raise ValueError(_TAKES)
    part.encode()
    return part


def as_number(part: object) -> int:
    if not isinstance(part, int) or isinstance(part, bool) or not 0 <= part < 2**63:
        raise ValueError(_TAKES)
    return part


def next_cursor(items: Sequence[ItemT], limit: int, place: Callable[[ItemT], str]) -> str | None:
    """Give the cursor after a full page; a page that is not full is the last."""
    return place(items[-1]) if len(items) == limit else None
