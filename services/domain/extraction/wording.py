"""What the patterns of the verbatim rules are written with."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from services.domain import lexicon
from services.domain.words import fold

_CONTRACTIONS = (
    (re.compile(r"\bcan't\b|\bcannot\b"), "can not"),
    (re.compile(r"\bwon't\b"), "will not"),
    (re.compile(r"n't\b"), " not"),
    (re.compile(r"\bi'm\b"), "i am"),
    (re.compile(r"'re\b"), " are"),
    (re.compile(r"'ve\b"), " have"),
    (re.compile(r"'ll\b"), " will"),
    (re.compile(r"'d\b"), " would"),
    (re.compile(r"\b(my \w+|it|that|there|he|she|what)'s\b"), r"\1 is"),
)
MONTH = "|".join(sorted(lexicon.LONG_MONTHS, key=len, reverse=True))


@dataclass(frozen=True, slots=True)
class Phrases:
    """One language's patterns. All but `events` and `moved` are for `comparable` texts.

    `not_so` are wishes, doubts and requests; `of_the_hour` what holds for a day; `not_own_words` what shows that a
    message hands over somebody else's text or plays a part. `things` name what they are about in a group `thing`,
    `passing_things` are no such things. `events` may need accents, `moved` capitals. `slots` name the one value of
    something that they do not name, `only_one` the things that have one value at a time. `undone` are the changes that
    take an event back.
    """

    hearsay: re.Pattern[str]
    not_so: re.Pattern[str]
    of_the_hour: re.Pattern[str]
    not_own_words: re.Pattern[str]
    rules: tuple[re.Pattern[str], ...]
    to_remember: re.Pattern[str]
    slots: Mapping[str, re.Pattern[str]]
    only_one: Mapping[str, str]
    moved: re.Pattern[str]
    events: tuple[re.Pattern[str], ...]
    first_person: re.Pattern[str]
    states: tuple[re.Pattern[str], ...]
    things: tuple[re.Pattern[str], ...]
    passing_things: frozenset[str]
    continuous: re.Pattern[str]
    called: re.Pattern[str]
    changes: re.Pattern[str]
    undone: re.Pattern[str]
    goes_on: re.Pattern[str]


def comparable(text: str) -> str:
    """Fold a text and write its contractions out."""
    plain = " ".join(fold(text).replace("\u2019", "'").split())
    if "'" not in plain and "cannot" not in plain:
        return plain
    for pattern, whole in _CONTRACTIONS:
        plain = pattern.sub(whole, plain)
    return plain


def one_of(words: str) -> str:
    """Give a pattern for one of the words; `_` stands for a space in them."""
    return "(?:" + "|".join(word.replace("_", " ") for word in words.split()) + ")"


def any_word(words: str) -> re.Pattern[str]:
    return re.compile(rf"\b{one_of(words)}\b")


def not_after(words: str) -> str:
    """Give a pattern that matches where none of the words stands before."""
    return "".join(rf"(?<!\b{word.replace('_', ' ')} )" for word in words.split())


def slots(groups: Mapping[str, str]) -> dict[str, str]:
    """Give for each word the slot that it stands for."""
    return {word: slot for slot, words in groups.items() for word in words.split()}
