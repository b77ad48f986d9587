"""What the hosted Mem0 holds: its filters, its pages, its deduplication, and its slowness to list what is new."""

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal
from uuid import uuid4

# What is said of an equal text is not documented: nothing is added, and nothing or the one that stands is answered.
Deduplicates = Literal["no", "answers nothing", "answers the one that stands"]
MAX_PAGE = 200


class BadRequestError(Exception):
    """The service would answer with status 400."""


@dataclass
class Stored:
    memory: str
    user_id: str
    metadata: dict[str, Any]
    listed_from: float = 0.0
    id: str = field(default_factory=lambda: str(uuid4()))
    created_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    updated_at: datetime = field(default_factory=lambda: datetime.now(UTC))

    def seen(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "memory": self.memory,
            "user_id": self.user_id,
            "metadata": dict(self.metadata),
            "created_at": self.created_at.isoformat(),
            "updated_at": self.updated_at.isoformat(),
        }


class Mem0Memories:
    def __init__(self) -> None:
        self.by_id: dict[str, Stored] = {}
        self.deduplicates: Deduplicates = "no"
        self.list_lag = 0.0

    def plant(self, memory: str, user_id: str, metadata: dict[str, Any] | None = None, **fields: Any) -> Stored:
        """Put a memory there as if somebody had added it."""
        stored = Stored(memory, user_id, metadata or {}, time.monotonic() + self.list_lag, **fields)
        self.by_id[stored.id] = stored
        return stored

    def add(self, body: dict[str, Any]) -> dict[str, Any]:
        if body.get("infer") is not False:
            raise BadRequestError("these tests add with infer=False only")
        if not body.get("user_id"):
            raise BadRequestError("an entity is needed")
        results = [found for message in body["messages"] for found in self._add(message["content"], body)]
        return {"status": "SUCCEEDED", "event_id": str(uuid4()), "results": results}

    def _add(self, text: str, body: dict[str, Any]) -> list[dict[str, Any]]:
        if self.deduplicates != "no":
            standing = [one for one in self.by_id.values() if (one.user_id, one.memory) == (body["user_id"], text)]
            if standing:
                answered = standing[:1] if self.deduplicates == "answers the one that stands" else []
                return [{"id": one.id, "data": {"memory": one.memory}, "event": "NONE"} for one in answered]
        stored = self.plant(text, body["user_id"], body.get("metadata"))
        return [{"id": stored.id, "data": {"memory": text}, "event": "ADD"}]

    def update(self, memory_id: str, body: dict[str, Any]) -> dict[str, Any] | None:
        stored = self.by_id.get(memory_id)
        if stored is None:
            return None
        stored.memory = body.get("text", stored.memory)
        stored.metadata = body.get("metadata", stored.metadata)
        stored.updated_at = datetime.now(UTC)
        return stored.seen()

    def entities(self) -> dict[str, Any]:
        counted = Counter(one.user_id for one in self.by_id.values())
        found = [{"name": name, "type": "user", "total_memories": number} for name, number in counted.items()]
        return {"count": len(found), "next": None, "previous": None, "results": found}

    def page(self, body: dict[str, Any], page: int, size: int) -> dict[str, Any]:
        if not 1 <= size <= MAX_PAGE:
            raise BadRequestError("page_size")
        matches = compiled(body.get("filters") or {})
        now = time.monotonic()
        found = [one for one in self.by_id.values() if one.listed_from <= now and matches(one)]
        found.sort(key=lambda one: one.created_at, reverse=True)
        start = (page - 1) * size
        more = len(found) > start + size
        return {
            "count": len(found),
            "next": f"/v3/memories/?page={page + 1}&page_size={size}" if more else None,
            "previous": f"/v3/memories/?page={page - 1}&page_size={size}" if page > 1 else None,
            "results": [one.seen() for one in found[start : start + size]],
        }


Matches = Callable[[Stored], bool]


def compiled(filters: dict[str, Any]) -> Matches:
    """Read the service's filter grammar; a filter that names no entity is refused."""
    if not _names_an_entity(filters):
        raise BadRequestError("filters must name an entity")
    return _tree(filters)


def _names_an_entity(filters: dict[str, Any]) -> bool:
    parts = [part for name in ("AND", "OR") for part in filters.get(name, [])]
    return "user_id" in filters or any(_names_an_entity(part) for part in parts)


def _tree(filters: dict[str, Any]) -> Matches:
    if len(filters) != 1:
        raise BadRequestError("one condition in each object")
    [(name, value)] = filters.items()
    if name in ("AND", "OR"):
        parts = [_tree(part) for part in value]
        combine = all if name == "AND" else any
        return lambda one: combine(part(one) for part in parts)
    if name == "user_id":
        return _condition(value, lambda one: one.user_id)
    if name == "metadata" and len(value) == 1:
        [(key, wanted)] = value.items()
        return _condition(wanted, lambda one: one.metadata.get(key))
    raise BadRequestError(f"no filter named {name}")


def _condition(wanted: Any, read: Callable[[Stored], Any]) -> Matches:
    if not isinstance(wanted, dict):
        return lambda one: bool(read(one) == wanted)
    [(operator, operand)] = wanted.items()
    match operator:
        case "eq":
            return lambda one: bool(read(one) == operand)
        case "ne":
            return lambda one: bool(read(one) != operand)
        case "contains":
            return lambda one: operand in str(read(one))
        case "in":
            return lambda one: read(one) in operand
    raise BadRequestError(f"no operator named {operator}")
