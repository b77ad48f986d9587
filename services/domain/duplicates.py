"""Which memories of one owner say the same? Code decides, and would rather miss a pair than merge two facts.

Vectors alone must not: `likes tea` and `likes coffee`, 5 and 6 March, `lives` and `lived` lie close together. A pair
must read the same, word by word; or, where only synonyms and ways to write a date differ, its vectors must agree, too.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import combinations
from typing import Any, Literal
from uuid import UUID

from services.domain.memories import Kind, MadeBy
from services.domain.statement_reading import Reading, read_statement
from services.domain.words import fold, stem, word_set

Reason = Literal["same_words", "same_meaning"]
# How near the vectors of synonymous statements must be; how near those of different facts are tells nothing.
NEAR = 0.9
# They say what kind of thing a slug names, not of whom.
_GENERIC = frozenset(
    stem(word)
    for word in word_set(
        "user usuario fact facts info information detail details note notes preference preferences profile current main"
        " general personal about memory dato datos perfil preferencia preferencias actual"
    )
)
_TOLD = frozenset({"model", "verbatim"})


@dataclass(frozen=True, slots=True)
class Memory:
    """What stands under a slug."""

    slug: str
    content: str
    kind: Kind
    made_by: MadeBy
    metadata: Mapping[str, Any]
    asserted_at: datetime
    version_id: UUID
    brain_id: UUID


@dataclass(frozen=True, slots=True)
class Duplicate:
    kept: Memory
    ended: Memory
    reason: Reason

    @property
    def ends_at(self) -> datetime:
        """Right after what is ended was said, once the other one stands: nothing that is said later is touched."""
        return max(self.ended.asserted_at + timedelta(microseconds=1), self.kept.asserted_at)


def find_duplicates(memories: Sequence[Memory], *, own: bool) -> list[Duplicate]:
    """Give the memories that another one makes needless: each once, and never one that is kept for another.

    Only what was learned from talk is ended: who saved a memory under a slug looks for it there. What was said first
    is kept, so that nothing is forgotten of any time.
    """
    read = [(memory, reading) for memory in memories if (reading := _comparable(memory, own=own))]
    found = list(_pairs(read, lambda reading: reading.words, "same_words"))
    gone = {pair.ended.slug for pair in found}
    left = [(memory, reading) for memory, reading in read if memory.slug not in gone]
    again = _pairs(left, lambda reading: reading.meaning, "same_meaning")
    keepers = {pair.kept.slug for pair in found}
    return found + [pair for pair in again if pair.ended.slug not in keepers]


def say_the_same(one: Memory, other: Memory, *, own: bool) -> Reason | None:
    """Say how two memories say the same; None where they may be two facts."""
    first, second = _comparable(one, own=own), _comparable(other, own=own)
    if first is None or second is None or not _alike(one, other, first, second):
        return None
    if first.words == second.words:
        return "same_words"
    return "same_meaning" if first.meaning == second.meaning else None


def _comparable(memory: Memory, *, own: bool) -> Reading | None:
    """The same words about an event may tell of two, unless they name the day."""
    reading = read_statement(memory.content, own=own)
    return None if reading is None or (memory.kind == "episodic" and not reading.dated) else reading


def _pairs(
    read: Iterable[tuple[Memory, Reading]], key: Callable[[Reading], tuple[str, ...]], reason: Reason
) -> Iterator[Duplicate]:
    groups: defaultdict[tuple[str, ...], list[tuple[Memory, Reading]]] = defaultdict(list)
    for memory, reading in read:
        groups[key(reading)].append((memory, reading))
    for group in groups.values():
        ended: set[str] = set()
        for (kept, first), (other, second) in combinations(sorted(group, key=_first_to_keep), 2):
            if kept.slug in ended or other.slug in ended or other.made_by not in _TOLD:
                continue
            if _alike(kept, other, first, second):
                ended.add(other.slug)
                yield Duplicate(kept, other, reason)


def _first_to_keep(read: tuple[Memory, Reading]) -> tuple[bool, datetime, str]:
    memory, _ = read
    return memory.made_by in _TOLD, memory.asserted_at, memory.slug


def _alike(one: Memory, other: Memory, first: Reading, second: Reading) -> bool:
    if one.kind != other.kind or one.metadata != other.metadata:
        return False
    return (first.names_its_subject and second.names_its_subject) or _slugs_agree(one.slug, other.slug, first)


def _slugs_agree(one: str, other: str, reading: Reading) -> bool:
    """Where the text does not say of whom it speaks, only the slug does: `Lives in Lima` as `sister_city`."""
    said = {stem(fold(word)) for word in reading.words}
    return not (_words(one) ^ _words(other)) - said - _GENERIC


def _words(slug: str) -> frozenset[str]:
    return frozenset(stem(word) for word in re.findall(r"[a-z]+", slug))
