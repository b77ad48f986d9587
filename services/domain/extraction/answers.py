"""Reads what a model answers when it is asked for memories."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, cast

from services.domain.memories import KINDS, Kind

Action = Literal["new", "changed", "ended"]

# Only what every server that knows JSON schemas takes: no lengths, no counts.
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "memories": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "action": {"type": "string", "enum": ["new", "changed", "ended"]},
                    "kind": {"type": "string", "enum": list(KINDS)},
                    "slug": {"type": "string"},
                    "text": {"type": "string"},
                    "sources": {"type": "array", "items": {"type": "integer"}},
                    "known": {"type": ["integer", "null"]},
                },
                "required": ["action", "kind", "slug", "text", "sources", "known"],
                "additionalProperties": False,
            },
        }
    },
    "required": ["memories"],
    "additionalProperties": False,
}
_MANY = 50
_NUMBER = re.compile(r"\d{1,6}")


@dataclass(frozen=True, slots=True)
class Proposal:
    """A memory as a model proposes it. `sources` are numbers of messages, `known` that of a known memory, from 1."""

    action: Action
    kind: Kind
    slug: str
    text: str
    sources: tuple[int, ...]
    known: int | None


@dataclass(frozen=True, slots=True)
class Answer:
    """What a model proposes, each thing once. It is not `whole` when it was broken off, or is no JSON at all."""

    proposals: tuple[Proposal, ...]
    whole: bool


def read_answer(text: str) -> Answer:
    """Read an answer; one that was broken off counts as far as it goes."""
    whole = _whole(text)
    items = list(_pieces(text)) if whole is None else whole
    proposals = (_proposal(item) for item in items[:_MANY])
    return Answer(tuple(dict.fromkeys(one for one in proposals if one)), whole is not None)


def _whole(text: str) -> list[Any] | None:
    start = min((at for at in (text.find("{"), text.find("[")) if at >= 0), default=-1)
    if start < 0:
        return None
    try:
        read, _ = json.JSONDecoder().raw_decode(text, start)
    except (ValueError, RecursionError):
        return None
    memories = read.get("memories") if isinstance(read, dict) else read
    return memories if isinstance(memories, list) else None


def _pieces(text: str) -> Iterator[Any]:
    """Give the whole objects in an answer that is broken off."""
    decoder, at = json.JSONDecoder(), text.find("{", text.find("[") + 1)
    while at >= 0:
        try:
            piece, end = decoder.raw_decode(text, at)
        except (ValueError, RecursionError):
            end = at + 1
        else:
            yield piece
        at = text.find("{", end)


def _proposal(item: Any) -> Proposal | None:  # noqa: ANN401  whatever a model wrote
    if not isinstance(item, dict):
        return None
    action, kind = item.get("action"), item.get("kind")
    return Proposal(
        action=cast("Action", action) if action in ("new", "changed", "ended") else "new",
        kind=cast("Kind", kind) if kind in KINDS else "semantic",
        slug=_text(item.get("slug")),
        text=_text(item.get("text")),
        sources=_numbers(item.get("sources")),
        known=next(iter(_numbers(item.get("known"))), None),
    )


def _text(value: object) -> str:
    return " ".join(value.replace("\x00", "").split()) if isinstance(value, str) else ""


def _numbers(value: object) -> tuple[int, ...]:
    """Read `3`, `"3"`, `"K3"` and lists of them."""
    found = (_number(item) for item in (value if isinstance(value, list) else [value]))
    return tuple(dict.fromkeys(number for number in found if number is not None))


def _number(item: object) -> int | None:
    if isinstance(item, str):
        match = _NUMBER.search(item)
        return int(match.group()) if match else None
    return item if isinstance(item, int) and not isinstance(item, bool) else None
