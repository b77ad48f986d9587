"""Finds what is worth keeping verbatim: durable statements that users make of themselves, by rules.

For the models that can hardly be believed. Questions, wishes, hearsay, quotations and what is only of the hour are
nothing, and so is whatever `guards` calls suspicious. The rules prefer to miss: their precision is asserted in the
tests on labelled conversations.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from services.domain.extraction import english, spanish
from services.domain.extraction.english import CALENDAR_DAY, IN_A_MONTH
from services.domain.extraction.guards import suspicious
from services.domain.extraction.topics import telling_words
from services.domain.extraction.wording import comparable
from services.domain.memories import Kind
from services.domain.messages import ArchivedMessage
from services.domain.words import plain, sentences

LONGEST_MESSAGE = 1_500  # characters: what is longer was pasted
LONGEST_SENTENCE = 300
LANGUAGES = (english.PHRASES, spanish.PHRASES)

_CLAUSE_END = re.compile(r"[,;:.!\u2013\u2014] | (?:and|but|so|because|since|y|pero|porque|asi que) ")
_QUOTATION = re.compile(r"[\"\u201c\u201d\u00ab\u00bb`]|(?:^|\s)'\w|^\s*>")


@dataclass(frozen=True, slots=True)
class Statement:
    """What a user said. `words` name it; `slot` names a thing that has one value at a time.

    `changes` says that something is no longer as it was. Without a `kind` it says only that: of what, and so whether it
    is worth keeping, what is known already must tell.
    """

    message: ArchivedMessage
    text: str
    kind: Kind | None
    words: tuple[str, ...]
    slot: str | None = None
    changes: bool = False


@dataclass(frozen=True, slots=True)
class _Found:
    kind: Kind | None
    words: tuple[str, ...]
    slot: str | None = None


def find_statements(messages: Sequence[ArchivedMessage]) -> list[Statement]:
    """Give the durable statements in what users said, in its order."""
    return [statement for message in messages for statement in _of_message(message)]


def says_change(text: str) -> bool:
    return _any((one.changes for one in LANGUAGES), comparable(text))


def _of_message(message: ArchivedMessage) -> Iterator[Statement]:
    text = message.content.strip()
    foreign = _any((one.not_own_words for one in LANGUAGES), comparable(text[:LONGEST_MESSAGE]))
    if message.role != "user" or len(text) > LONGEST_MESSAGE or foreign:
        return
    said = sentences(text)
    for index, sentence in enumerate(said):
        low = comparable(sentence)
        found = None if _is_nothing(sentence, low) else _read(sentence, low)
        if found and (found.words or found.slot):
            whole = " ".join([sentence, *_goes_on(said[index + 1 :])]) if found.kind else sentence
            yield Statement(message, whole, found.kind, found.words, found.slot, _changes(found, low))


def _is_nothing(sentence: str, low: str) -> bool:
    return (
        "?" in sentence
        or "\u00bf" in sentence
        or len(sentence) > LONGEST_SENTENCE
        or bool(_QUOTATION.search(sentence))
        or _any((one.hearsay for one in LANGUAGES), low)
        or suspicious(sentence)
    )


def _changes(found: _Found, low: str) -> bool:
    """An event is another one unless it takes one back; what is so, or is to be done, can change."""
    return _any((one.undone if found.kind == "episodic" else one.changes for one in LANGUAGES), low)


def _read(sentence: str, low: str) -> _Found | None:
    rule = _rule(low)
    if rule:
        return rule
    if _any((one.not_so for one in LANGUAGES), low):
        return None
    return _to_remember(low) or _slot(sentence, low) or _event(sentence, low) or _state(sentence, low) or _change(low)


def _rule(low: str) -> _Found | None:
    match = _first((pattern for one in LANGUAGES for pattern in one.rules), low)
    # `I drink tea, never coffee` orders nothing.
    if match is None or (re.search(r"\b(?:i|we)\b", low[: match.start()]) and "please" not in low):
        return None
    return _Found("procedural", _words(low[match.start() :]) or _words(low))


def _to_remember(low: str) -> _Found | None:
    asked = _first((one.to_remember for one in LANGUAGES), low)
    if asked is None:
        return None
    dated = CALENDAR_DAY.search(low) or IN_A_MONTH.search(low)
    return _Found("episodic" if dated else "semantic", _words(low[asked.end() :]))


def _slot(sentence: str, low: str) -> _Found | None:
    if _any((one.of_the_hour for one in LANGUAGES), low):
        return None
    if _any((one.moved for one in LANGUAGES), sentence):
        return _Found("semantic", _words(low), "home")
    for one in LANGUAGES:
        for slot, pattern in one.slots.items():
            if pattern.search(low):
                return _Found("semantic", _words(low), slot)
    *before, last = _thing(low).split() or [""]
    only = next((one.only_one[last] for one in LANGUAGES if last in one.only_one), None)
    return _Found("semantic", _words(low), "_".join([*before, only])) if only else None


def _event(sentence: str, low: str) -> _Found | None:
    cased = " ".join(sentence.casefold().split())
    for text in (low, cased):
        happened = _first((pattern for one in LANGUAGES for pattern in one.events), text)
        if happened:
            return _Found("episodic", _words(text[happened.start() :]))
    dated = _first((one.first_person for one in LANGUAGES), low) if CALENDAR_DAY.search(low) else None
    return _Found("episodic", _words(low[dated.start() :]) or _words(low)) if dated else None


def _state(sentence: str, low: str) -> _Found | None:
    if _any((one.of_the_hour for one in LANGUAGES), low):
        return None
    state = _first((pattern for one in LANGUAGES for pattern in one.states), low)
    if state:
        return _Found("semantic", _words(low[state.start() :]))
    thing = _thing(low)
    if thing:
        return _Found("semantic", _words(low[low.index(thing) :]))
    called = _first((one.called for one in LANGUAGES), plain(sentence))
    return _Found("semantic", _words(called.group())) if called else None


def _change(low: str) -> _Found | None:
    return _Found(None, tuple(telling_words(low))) if _any((one.changes for one in LANGUAGES), low) else None


def _thing(low: str) -> str:
    """Give what `my X is ...` is about, unless that is something of the moment."""
    if _any((one.continuous for one in LANGUAGES), low):
        return ""
    found = _first((pattern for one in LANGUAGES for pattern in one.things), low)
    thing = found.group("thing") if found else ""
    return "" if any(set(thing.split()) & one.passing_things for one in LANGUAGES) else thing


def _goes_on(following: Sequence[str]) -> list[str]:
    """Give the sentences that go on about the same: what `she` does would be no use alone."""
    taken: list[str] = []
    for sentence in following:
        low = comparable(sentence)
        idle = _is_nothing(sentence, low) or _any((one.not_so for one in LANGUAGES), low)
        if idle or not _any((one.goes_on for one in LANGUAGES), low):
            break
        taken.append(sentence)
    return taken


def _any(patterns: Iterable[re.Pattern[str]], text: str) -> bool:
    return _first(patterns, text) is not None


def _first(patterns: Iterable[re.Pattern[str]], text: str) -> re.Match[str] | None:
    return next((match for pattern in patterns if (match := pattern.search(text))), None)


def _words(text: str) -> tuple[str, ...]:
    """Give the telling words of the first clause, if it has two: what follows differs each time the same is said."""
    clause = telling_words(_CLAUSE_END.split(text.lstrip(" ,;:.!"), maxsplit=1)[0])
    return tuple(clause if len(clause) > 1 else telling_words(text))
