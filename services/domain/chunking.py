"""Where a room's messages are cut into chunks.

A turn (what is asked, with the reply and its tool calls) stays whole as long as it fits.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from services.domain.messages import ArchivedMessage
from services.domain.transcripts import day, estimate_tokens, line


@dataclass(frozen=True, slots=True)
class Chunk:
    """Messages `first_seq` to `last_seq`, whose transcript takes `tokens` at most."""

    first_seq: int
    last_seq: int
    tokens: int


def cut(messages: Sequence[ArchivedMessage], *, max_tokens: int, max_messages: int) -> list[Chunk]:
    """Cut messages into consecutive chunks that hold each of them once.

    A message that is over the bound by itself is a chunk of its own: show it through `shorten`.
    """
    measure = _Measure(messages)
    chunks: list[Chunk] = []
    start = end = 0

    def fits(until: int) -> bool:
        return until - start <= max_messages and measure.tokens(start, until) <= max_tokens

    def close() -> None:
        nonlocal start
        if end > start:
            chunks.append(Chunk(messages[start].seq, messages[end - 1].seq, measure.tokens(start, end)))
        start = end

    for turn_end in turn_ends(messages):
        if not fits(turn_end):
            close()
        while end < turn_end:
            step = turn_end if fits(turn_end) else end + 1
            if end > start and not fits(step):
                close()
            else:
                end = step
    close()
    return chunks


def split(
    messages: Sequence[ArchivedMessage],
) -> tuple[Sequence[ArchivedMessage], Sequence[ArchivedMessage]] | None:
    """Halve messages where a turn ends, nearest to the middle by tokens; None for a single message."""
    if len(messages) <= 1:
        return None
    measure = _Measure(messages)
    half = measure.tokens(0, len(messages)) / 2
    candidates = [end for end in turn_ends(messages) if end < len(messages)] or list(range(1, len(messages)))
    middle = min(candidates, key=lambda end: abs(measure.tokens(0, end) - half))
    return messages[:middle], messages[middle:]


def turn_ends(messages: Sequence[ArchivedMessage]) -> list[int]:
    """Give the index after each turn: a user who speaks after somebody else's reply begins the next."""
    ends = [
        index
        for index in range(1, len(messages))
        if messages[index].role == "user" and messages[index - 1].role != "user"
    ]
    return [*ends, len(messages)] if messages else []


class _Measure:
    def __init__(self, messages: Sequence[ArchivedMessage]) -> None:
        days = [day(message) for message in messages]
        heading = {shown: estimate_tokens(shown) + 1 for shown in frozenset(days)}
        self._heading = [heading[shown] for shown in days]
        self._lines = [0]
        self._headings = [0]
        for index, message in enumerate(messages):
            same_day = index > 0 and days[index] == days[index - 1]
            self._lines.append(self._lines[-1] + estimate_tokens(line(message)) + 1)
            self._headings.append(self._headings[-1] + (0 if same_day else self._heading[index]))

    def tokens(self, start: int, end: int) -> int:
        """Bound the tokens of the transcript of messages `start` to `end`, the end not included."""
        if start == end:
            return 0
        headings = self._heading[start] + self._headings[end] - self._headings[start + 1]
        return self._lines[end] - self._lines[start] + headings
