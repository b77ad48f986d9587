"""How search scores, said once more in plain Python, the slow way."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from statistics import fmean, pstdev

NEIGHBOURS = {0: 1.0, -1: 0.6, 1: 0.6, -2: 0.36, 2: 0.36}


@dataclass(frozen=True)
class Document:
    """`place` is a message's room; everything else stands in a place of its own."""

    name: str
    kind: str
    place: str
    seq: int
    words: tuple[str, ...]
    vector: tuple[float, ...] | None
    happened_at: datetime
    is_named: bool = False
    is_timed: bool = False

    @property
    def lot(self) -> str:
        return self.kind if self.kind in ("message", "summary") else "memory"


def score_all(
    documents: Sequence[Document], words: Sequence[str], vector: Sequence[float] | None, now: datetime
) -> dict[str, float]:
    """Give the score of each document that says a word of the question or means what it means."""
    asked = list(dict.fromkeys(words))
    rarity = {word: _rarity(documents, word) for word in asked}
    most = sum(rarity.values())
    similarities = {
        one.name: _cosine(one.vector, vector) for one in documents if one.vector is not None and vector is not None
    }
    scores = {}
    for one in documents:
        said = sum(rarity[word] * _saturated(_near(documents, one, word)) for word in asked) / most if most else 0.0
        meant = _meaning(similarities, one.name)
        if said + meant > 0:
            bonus = 0.2 * one.is_named + 0.2 * one.is_timed
            age = max((now - one.happened_at).total_seconds(), 0) / (30 * 86400)
            scores[one.name] = (
                (0.7 * said + 0.3 * min(meant, 1) + bonus)
                * (0.9 + 0.1 * math.exp(-age))
                * (0.75 if one.kind == "summary" else 1)
            )
    return scores


def _rarity(documents: Sequence[Document], word: str) -> float:
    times = sum(word in one.words for one in documents)
    return math.log(1 + (len(documents) - times + 0.5) / (times + 0.5)) if times else 0.0


def _near(documents: Sequence[Document], one: Document, word: str) -> float:
    return sum(
        NEIGHBOURS[other.seq - one.seq] / (0.6 + 0.4 * _size(documents, other))
        for other in documents
        if other.place == one.place and other.seq - one.seq in NEIGHBOURS and word in other.words
    )


def _size(documents: Sequence[Document], one: Document) -> float:
    lengths = [len(set(other.words)) for other in documents if other.lot == one.lot]
    return len(set(one.words)) / max(fmean(lengths), 1)


def _saturated(weight: float) -> float:
    return weight / (weight + 0.8)


def _cosine(left: Sequence[float], right: Sequence[float]) -> float:
    return sum(a * b for a, b in zip(left, right, strict=True)) / math.hypot(*left) / math.hypot(*right)


def _meaning(similarities: dict[str, float], name: str) -> float:
    spread = pstdev(similarities.values()) if similarities else 0.0
    if name not in similarities:
        return 0.0
    if spread == 0:
        return max(similarities[name], 0)
    reach = spread * 2 * math.sqrt(math.log(max(len(similarities), 3)))
    return max(similarities[name] - fmean(similarities.values()), 0) / reach
