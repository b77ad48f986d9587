"""What a statement is about: its telling words, without what every statement has.

Two statements are about the same thing when enough of these are the same, in any inflection. Numbers, dates and
weekdays are left out on purpose: they are what changes.
"""

import re
from collections.abc import Iterator

from services.domain import lexicon
from services.domain.words import fold, stem, word_set

# Words of change, of manner and of the hour, and verbs that say nothing without their object.
_GENERIC = word_set(
    """
    always never longer anymore already instead please kindly remember forget note nowadays change changed changes
    moved plan new old have having got get gets take taking make making use using keep going come do doing today tonight
    time times day way lot bit kind sort good great fine perfect news sure thanks ok okay everything something anything
    whenever every once siempre nunca jamas ya ahora antes recuerda anota apunta cambio cambia nuevo nueva vieja viejo
    tengo tiene hago usar uso usa hoy favor bueno buena gracias perfecto excelente cada manera forma dia dias tambien
    llama llamo llaman called named user users usuario usuaria person speaker
    """
)
_SAY_NOTHING = (lexicon.STOP_WORDS | lexicon.NEGATORS | lexicon.REPORTING_WORDS | lexicon.LONG_MONTHS).union(
    lexicon.WEEKDAYS, lexicon.RELATIVE_DAYS, lexicon.NUMBERS, lexicon.SCALES
)
_STEMS_THAT_SAY_NOTHING = frozenset(stem(word) for word in _GENERIC) | lexicon.UNITS
_WORD = re.compile(r"[^\W\d_]+(?:['\u2019][^\W\d_]+)?")


def telling_words(text: str) -> list[str]:
    """Give the telling words of a text in its order, folded, each once."""
    found: dict[str, str] = {}
    for word in _words(text):
        found.setdefault(stem(word), word)
    return list(found.values())


def topic(text: str) -> frozenset[str]:
    """Give the stems of the telling words."""
    return frozenset(stem(word) for word in telling_words(text))


def same_topic(one: frozenset[str], other: frozenset[str]) -> bool:
    """Say whether two topics share so much that they are one: two words, and half of the smaller topic."""
    shared = len(one & other)
    return shared > 1 and 2 * shared >= min(len(one), len(other))


def _words(text: str) -> Iterator[str]:
    for match in _WORD.finditer(text):
        word = fold(match.group()).replace("\u2019", "'")
        word = word.removesuffix("'s") if not word.endswith("n't") else ""
        if len(word) > 1 and not _says_nothing(word):
            yield word


def _says_nothing(word: str) -> bool:
    return word in _SAY_NOTHING or "'" in word or stem(word) in _STEMS_THAT_SAY_NOTHING
