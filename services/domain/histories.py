"""Places what is asserted under a slug among what was asserted before, in the order in which it was true.

The order in which we learned it plays no part: every assertion is kept, and which of them are versions follows from all
of them together. Of two at the same time an end comes first (what ends and begins at once has changed), then the
smaller id decides.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby
from typing import Any
from uuid import UUID

from services.domain.errors import InvalidInputError
from services.domain.ids import derived_id
from services.domain.memories import KINDS, MAX_CONTENT, Change, Kind, NewMemory, check_slug

_NUL_IN_JSON = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")


@dataclass(frozen=True, slots=True)
class Assertion:
    """That something held from `asserted_at` on; `said` is a digest of it, None where it was no longer true."""

    id: UUID
    asserted_at: datetime
    said: bytes | None
    kind: Kind

    @property
    def order(self) -> tuple[datetime, bool, UUID]:
        return self.asserted_at, self.said is not None, self.id

    @property
    def statement(self) -> tuple[bytes, Kind] | None:
        return None if self.said is None else (self.said, self.kind)


@dataclass(frozen=True, slots=True)
class Placement:
    """What one more assertion does to a history.

    `version` is the one that it became or joined, `stood` the last one before and `current` the last one now.
    `superseded` is what stood and now is past. `renamed` pairs versions of the same words: the first lends its place,
    or the later part of its time, to the second.
    """

    change: Change
    version: Assertion
    stood: Assertion | None
    current: Assertion
    superseded: Assertion | None
    renamed: tuple[tuple[Assertion, Assertion], ...]


def assertion_of(brain: UUID, memory: NewMemory) -> Assertion:
    """Name an assertion by all that makes it one, so that a retry finds it. Raises `InvalidInputError`."""
    check_memory(memory)
    at = memory.asserted_at.astimezone(UTC)
    told = "ended" if memory.content is None else f"said\n{memory.content}"
    if memory.content is not None and memory.metadata:
        told += f"\nwith\n{_written(memory.metadata)}"
    return Assertion(
        derived_id(f"version\n{brain}\n{at.isoformat()}\n{memory.kind}\n{told}"),
        at,
        None if memory.content is None else digest(hashlib.sha256(memory.content.encode()).digest(), memory.metadata),
        memory.kind,
    )


def digest(content: bytes, metadata: Mapping[str, Any]) -> bytes:
    """Digest what is said, given the SHA-256 of its text: the same words with other metadata say something else."""
    return hashlib.sha256(content + _written(metadata).encode()).digest() if metadata else content


def _written(metadata: Mapping[str, Any]) -> str:
    """Write metadata in one way, also when Postgres has kept it in between: its JSON takes 1e2 for 100."""
    return json.dumps(_plain(metadata), sort_keys=True, ensure_ascii=True)


def _plain(value: object) -> object:
    match value:
        case Mapping():
            return {name: _plain(one) for name, one in value.items()}
        case list() | tuple():
            return [_plain(one) for one in value]
        case float() if value.is_integer():
            return int(value)
        case _:
            return value


def place(known: Iterable[Assertion], new: Assertion) -> Placement:
    """Say what a new assertion, or one that is known already, does to the others of its slug."""
    assertions = {one.id: one for one in known}
    before = versions(assertions.values())
    after = versions({**assertions, new.id: new}.values())
    stood, current = (before[-1][0] if before else None), after[-1][0]
    own = next(run for run in after if new in run)
    heads = {run[0] for run in after}
    past = stood is not None and stood.said is not None and stood != current and stood in heads
    return Placement(
        change=_change(stood, current, new, heads),
        version=own[0],
        stood=stood,
        current=current,
        superseded=stood if past else None,
        renamed=tuple(_renamed(before, after)),
    )


def versions(assertions: Iterable[Assertion]) -> list[tuple[Assertion, ...]]:
    """Give the versions in their order, each with the assertions after it that say it again."""
    ordered = sorted(assertions, key=lambda one: one.order)
    return [tuple(run) for _, run in groupby(ordered, key=lambda one: one.statement)]


def check_memory(memory: NewMemory) -> None:
    """Refuse what could never be kept. Raises `InvalidInputError`."""
    check_slug(memory.slug)
    if memory.kind not in KINDS:
        raise InvalidInputError("kind", "episodic, semantic or procedural")
    if memory.asserted_at.utcoffset() is None:
        raise InvalidInputError("asserted_at", "a time with its time zone")
    if memory.content is not None and not _is_text(memory.content):
        raise InvalidInputError("content", f"text of {MAX_CONTENT} characters at most")
    if not _is_json(memory.metadata):
        raise InvalidInputError("metadata", "a JSON object")


def _change(stood: Assertion | None, current: Assertion, new: Assertion, heads: set[Assertion]) -> Change:
    was = stood.statement if stood else None
    if was != current.statement:
        return "created" if was is None else "ended" if current.said is None else "updated"
    return "earlier" if new in heads and new != current else "unchanged"


def _renamed(
    before: list[tuple[Assertion, ...]], after: list[tuple[Assertion, ...]]
) -> Iterable[tuple[Assertion, Assertion]]:
    now = {one: run[0] for run in after for one in run}
    for run in before:
        yield from ((run[0], head) for head in dict.fromkeys(now[one] for one in run) if head != run[0])


def _is_text(content: str) -> bool:
    try:
        content.encode()
    except UnicodeEncodeError:
        return False
    return bool(content.strip()) and len(content) <= MAX_CONTENT and "\x00" not in content


def _is_json(metadata: object) -> bool:
    try:
        written = json.dumps(metadata, allow_nan=False, ensure_ascii=False)
        written.encode()
    except (TypeError, ValueError, RecursionError):
        return False
    return not _NUL_IN_JSON.search(written)
