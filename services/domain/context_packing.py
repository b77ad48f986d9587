"""What of a summary, memories and messages fits in front of a model."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from services.domain.transcripts import estimate_tokens, shorten

SUMMARY_HEADING = "## The conversation so far"
MEMORIES_HEADING = "## What is remembered"
MESSAGES_HEADING = "## The last messages"
# Fewer tell nothing: of a message, and of a summary.
LEAST_TOKENS = 12
LEAST_SUMMARY_TOKENS = 48
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Strategy:
    """How a token budget is shared, and which memories come first.

    Shares are relative to each other; what one part does not need goes to the others. A memory's value is
    `relevance_weight` times its score in the search plus `recency_weight` times its freshness, which halves every
    `half_life_days`.
    """

    summary_share: float = 0.25
    memories_share: float = 0.35
    messages_share: float = 0.4
    relevance_weight: float = 1.0
    recency_weight: float = 0.2
    half_life_days: float = 30.0
    max_memories: int = 30
    max_messages: int = 30

    def value(self, score: float, asserted_at: datetime, now: datetime) -> float:
        days = max(0.0, (now - asserted_at).total_seconds() / 86_400)
        freshness: float = 0.5 ** (days / self.half_life_days)
        return self.relevance_weight * score + self.recency_weight * freshness


@dataclass(frozen=True, slots=True)
class Fitted:
    """A text as it fits; `index` is its place among those given."""

    index: int
    text: str
    is_shortened: bool = False


@dataclass(frozen=True, slots=True)
class Packed:
    """What fits: memories by value, messages in their order."""

    summary: Fitted | None
    memories: tuple[Fitted, ...]
    messages: tuple[Fitted, ...]

    def markdown(self) -> str:
        parts = [
            (SUMMARY_HEADING, [self.summary.text] if self.summary else []),
            (MEMORIES_HEADING, [item(one.text) for one in self.memories]),
            (MESSAGES_HEADING, [item(one.text) for one in self.messages]),
        ]
        return "\n\n".join("\n".join([heading, *lines]) for heading, lines in parts if lines)


def pack(
    summary: str | None, memories: Sequence[str], messages: Sequence[str], *, budget: int, strategy: Strategy
) -> Packed:
    """Fit the texts into `budget` tokens, as Markdown: memories from the first on, messages from the last back.

    A summary, or the last message, that is too long keeps its head and tail; whatever else does not fit is left out.
    The last message is what is to be answered: it may take half of the budget before anything else.
    """
    needs = [
        _need(SUMMARY_HEADING, [summary] if summary else []),
        _need(MEMORIES_HEADING, [item(text) for text in memories]),
        _need(MESSAGES_HEADING, [item(text) for text in messages]),
    ]
    shares = [strategy.summary_share, strategy.memories_share, strategy.messages_share]
    for_summary, for_memories, for_messages = allot(budget, needs, shares)
    for_last = min(_need(MESSAGES_HEADING, [item(text) for text in messages[-1:]]), budget // 2)
    if shares[2] > 0 and for_messages < for_last:
        for_summary, for_memories, _ = allot(budget - for_last, [*needs[:2], 0], shares)
    fitted = _fit_summary(summary, for_summary)
    left = budget - (_need(SUMMARY_HEADING, [fitted.text]) if fitted else 0)
    # What the summary could not use goes on to the memories, and what they could not use to the messages.
    kept = _fit_memories(memories, min(left, for_memories + for_summary - (budget - left)))
    left -= _need(MEMORIES_HEADING, [item(one.text) for one in kept])
    return Packed(fitted, kept, _fit_messages(messages, left))


def allot(budget: int, needs: Sequence[int], shares: Sequence[float]) -> list[int]:
    """Share out a budget; what one does not need goes to the others, by their shares."""
    given = [0] * len(needs)
    open_ = [index for index, need in enumerate(needs) if need and shares[index] > 0]
    left = budget
    while open_:
        total = sum(shares[index] for index in open_)
        portion = {index: int(left * shares[index] / total) for index in open_}
        content = [index for index in open_ if needs[index] <= portion[index]]
        if not content:
            for index in open_:
                given[index] = portion[index]
            break
        for index in content:
            given[index] = needs[index]
            left -= needs[index]
        open_ = [index for index in open_ if index not in content]
    return given


def item(text: str) -> str:
    """Show a text as an item of a list: its further lines are indented, so that no heading of its own stands out."""
    return "- " + text.strip().replace("\n", "\n  ")


def _need(heading: str, lines: Sequence[str]) -> int:
    """Count a part with its heading, the line breaks after each line and the blank line that follows."""
    if not lines:
        return 0
    return estimate_tokens(heading) + 2 + sum(estimate_tokens(line) + 1 for line in lines)


def _fit_summary(summary: str | None, budget: int) -> Fitted | None:
    if not summary:
        return None
    room = budget - _need(SUMMARY_HEADING, [""])
    if estimate_tokens(summary) <= room:
        return Fitted(0, summary)
    return Fitted(0, shorten(summary, room), is_shortened=True) if room >= LEAST_SUMMARY_TOKENS else None


def _fit_memories(memories: Sequence[str], budget: int) -> tuple[Fitted, ...]:
    left = budget - _need(MEMORIES_HEADING, [""]) + 1
    kept = []
    for index, text in enumerate(memories):
        cost = estimate_tokens(item(text)) + 1
        if cost <= left:
            kept.append(Fitted(index, text))
            left -= cost
    return tuple(kept)


def _fit_messages(messages: Sequence[str], budget: int) -> tuple[Fitted, ...]:
    left = budget - _need(MESSAGES_HEADING, [""]) + 1
    kept: list[Fitted] = []
    for index in reversed(range(len(messages))):
        cost = estimate_tokens(item(messages[index])) + 1
        if cost > left:
            if not kept and (short := _shortened(messages[index], left - 1)):
                kept.append(Fitted(index, short, is_shortened=True))
            break
        kept.append(Fitted(index, messages[index]))
        left -= cost
    return tuple(reversed(kept))


def _shortened(text: str, budget: int) -> str:
    """Shorten a message to what it may take as an item; each line break costs its indentation too."""
    plain = text.strip().replace("\n", " ")
    room = budget - estimate_tokens("- ")
    return shorten(plain, room) if room >= LEAST_TOKENS else ""
