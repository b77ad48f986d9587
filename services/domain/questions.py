"""What a question says besides its words: whom it names of those who spoke, and when."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from services.domain.named_times import Span, named_times
from services.domain.words import fold

_WORD = re.compile(r"[^\W\d_]+")
_NAMED = re.compile(r"(?P<word>[^\W\d_]+)(?:['\u2019]s\b)?")


@dataclass(frozen=True, slots=True)
class Question:
    """`words` is the question without the names of `speakers`: embed that, and look for its words.

    A name in it would find those who are spoken to by that name, not the one who speaks.
    """

    words: str
    speakers: tuple[str, ...] = ()
    times: tuple[Span, ...] = ()


def read_question(question: str, speakers: Iterable[str], now: datetime) -> Question:
    """Read a question put to a conversation of `speakers`, given by their user ids."""
    names = {speaker: _Name.of(speaker) for speaker in speakers}
    named = tuple(
        speaker
        for speaker, name in names.items()
        if any(name.is_meant(match["word"]) for match in _NAMED.finditer(question))
    )

    def without(match: re.Match[str]) -> str:
        return "" if any(names[speaker].is_meant(match["word"]) for speaker in named) else match.group()

    words = " ".join(_NAMED.sub(without, question).split()) if named else question
    return Question(words if _WORD.search(words) else question, named, named_times(question, now))


@dataclass(frozen=True, slots=True)
class _Name:
    whole: str
    parts: frozenset[str]

    @classmethod
    def of(cls, speaker: str) -> "_Name":
        return cls(fold(speaker), frozenset(fold(word) for word in _WORD.findall(speaker)))

    def is_meant(self, word: str) -> bool:
        """Whether `word` is the name; a part of one only as a name is written."""
        folded = fold(word)
        return folded == self.whole or (word[0].isupper() and folded in self.parts)
