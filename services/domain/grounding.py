"""Is a statement borne out by the messages that it claims as its source? Decided by code, not by a model.

Every name, number, time and date of the statement must stand in the sources, and in a clause there that speaks of the
same thing; so must nearly all other content words, in any inflection. A negation must be one in the sources too, a
direction (`from`, `to`) must be the same, and what was only asked is not known.

What it cannot see: synonyms (an honest paraphrase in new words fails, and so does another language's), who said it when
the statement names no speaker, irony, and a wrong combination of common words from one clause.

The thresholds were chosen on the labelled set in the tests (70 honest statements, 76 false ones; its precision and
recall are asserted there), so that nothing false passes first of all. On statements about the sample conversation that
were written afterwards, 25 of 27 honest ones passed and 1 of 35 false ones, a changed direction that is now caught.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import NamedTuple

from services.domain import lexicon
from services.domain.claim_keys import Key, day_keys
from services.domain.claims import Claim, Clause, read
from services.domain.messages import ArchivedMessage
from services.domain.transcripts import line
from services.domain.words import fold, sentences, stem

MISSING_SHARE = 0.2  # of the plain words; in a statement of fewer than five none may miss
BEFORE, AFTER = 2, 1  # plain words beside a name, number or date, of which
NEAR = 1  # must stand by it in the sources too
ASSERTED_SHARE = 0.5  # of what is matched must be said, not asked
SHORT = 5

Said = list[list[Clause]]

_WORD = re.compile(r"[^\W_]+")
_INTRODUCED = re.compile(r"\b(?:[Ii] am|[Ii]['\u2019]m|[Mm]y name is|[Ss]oy|[Mm]e llamo|[Mm]i nombre es) ([A-Z]\w+)")


@dataclass(frozen=True, slots=True)
class Grounding:
    """`missing` holds words of the statement: it is chat content and is never logged. `coverage` is 0 to 1."""

    grounded: bool
    missing: tuple[str, ...]
    coverage: float


def check(statement: str, sources: Sequence[ArchivedMessage]) -> Grounding:
    """Say whether the sources bear the statement out. A statement that claims nothing checkable is not grounded."""
    return _checked(statement, _Sources(sources))


def keep_grounded_sentences(
    summary: str, sources: Sequence[ArchivedMessage]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Part a summary into the sentences that the sources bear out and those they do not.

    Keep a summary whole when something was kept and nothing dropped; otherwise make it extractively: what is left of a
    broken summary reads as if it were all that was said. A sentence said twice is dropped the second time: small
    models get stuck.
    """
    index = _Sources(sources)
    kept: list[str] = []
    dropped: list[str] = []
    for sentence in sentences(summary):
        sound = sentence not in kept and _checked(sentence, index).grounded
        (kept if sound else dropped).append(sentence)
    return tuple(kept), tuple(dropped)


class _Context(NamedTuple):
    """A clause of a source: its own keys, and with them those of what it goes on from.

    `speaker` names who said it, which is what it is about unless it begins with another name. It is `bare` when it
    holds a quantity and nothing that says of what, as a short answer does.
    """

    own: frozenset[Key]
    near: frozenset[Key]
    speaker: frozenset[Key]
    bare: bool


class _Sources:
    def __init__(self, messages: Sequence[ArchivedMessage]) -> None:
        self.contexts: list[_Context] = []
        self.asserted: set[Key] = set()
        self.keys: set[Key] = set()
        # The polarities and directions that each key was said with.
        self._said: defaultdict[Key, set[tuple[int, str]]] = defaultdict(set)
        self._without_capital: set[str] = set()
        self._introduced: defaultdict[str, set[str]] = defaultdict(set)
        self._speakers: dict[tuple[str, date], frozenset[Key]] = {}
        for message in messages:
            self._introduced[message.speaker].update(_INTRODUCED.findall(message.content))
        texts = [line(message).removeprefix(f"{message.speaker}: ") for message in messages]
        said = [read(text, message.sent_at.date()) for text, message in zip(texts, messages, strict=True)]
        for index, message in enumerate(messages):
            reply = texts[index + 1] if index + 1 < len(messages) else ""
            self._add(message, said[index], said[index - 1] if index else [], _first_word(reply))
        self.lower = {stem(fold(text)) for text in self._without_capital}

    def _add(self, message: ArchivedMessage, said: Said, before: Said, answer: str) -> None:
        day, speaker = _day_said(message, said), self._speaker(message)
        self.asserted |= day | speaker
        self.keys |= day | speaker
        previous, first = _answered(said, before), True
        for sentence in said:
            self.contexts.extend(_lone_quantities(sentence))
            of_speaker = frozenset() if _begins_with_name(sentence[0]) else speaker
            for clause in sentence:
                own = _keys(clause.claims)
                self._note(clause, own, answer if sentence is said[-1] else "")
                previous = own | (previous if _follows(clause, first=first) else frozenset())
                self.contexts.append(_Context(own | day, previous | day, of_speaker, _is_bare(own)))
                self.keys |= own
                first = False

    def _speaker(self, message: ArchivedMessage) -> frozenset[Key]:
        """Give the speaker's id, and the name that this speaker took in `I am Ana` or `me llamo Ana`."""
        speaker, day = message.speaker, message.sent_at.date()
        if (speaker, day) not in self._speakers:
            names = self._introduced[speaker] | set(_WORD.findall(speaker))
            self._speakers[speaker, day] = _keys(claim for name in names for claim in _all(read(name, day)))
        return self._speakers[speaker, day]

    def _note(self, clause: Clause, keys: frozenset[Key], answer: str) -> None:
        denied = clause.question and answer in lexicon.NO
        if not clause.question or clause.presumes or denied or answer in lexicon.YES:
            self.asserted |= keys
        for claim in clause.claims:
            if claim.text[0].islower():
                self._without_capital.add(claim.text)
            said = (-claim.polarity if denied else claim.polarity, claim.direction)
            for key in claim.keys:
                self._said[key].add(said)

    def bear_out(self, claim: Claim, clause: Clause) -> bool:
        """Say whether the claim stands in the sources: affirmed or denied alike, and near the same words."""
        found = claim.keys & self.keys
        if not found or self._denied(claim, found) or self._turned(claim, found):
            return False
        return claim.kind == "word" or self._stands_among(claim, clause)

    def _denied(self, claim: Claim, found: frozenset[Key]) -> bool:
        polarities = {polarity for key in found for polarity, _ in self._said.get(key, ())}
        return claim.polarity != 0 and polarities == {-claim.polarity}

    def _turned(self, claim: Claim, found: frozenset[Key]) -> bool:
        opposite = {"from": {"to"}, "to": {"from", "of"}}.get(claim.direction)
        if opposite is None:
            return False
        known = {direction for key in found for _, direction in self._said.get(key, ()) if direction}
        return bool(known) and known <= opposite

    def _stands_among(self, claim: Claim, clause: Clause) -> bool:
        """Say whether one clause of the sources holds a name or a quantity with what the statement says of it."""
        subject = next((one for one in clause.claims if one.kind in {"word", "name"}), None)
        names = [one.keys for one in clause.claims if one.kind == "name" and one is not subject]
        named = subject.keys if subject and subject.kind == "name" else None
        words = [word.keys for word in _beside(claim, clause)]
        is_name = claim.kind == "name"
        for own, near, speaker, bare in self.contexts:
            if any(keys.isdisjoint(near) for keys in names):
                continue
            if named is not None and named.isdisjoint(near) and named.isdisjoint(speaker):
                continue
            if not is_name and claim.keys.isdisjoint(own):
                continue
            held = near if is_name or bare else own
            if sum(1 for keys in words if not keys.isdisjoint(held)) >= min(NEAR, len(words)):
                return True
        return False


def _checked(statement: str, sources: _Sources) -> Grounding:
    clauses = [clause for sentence in read(statement) for clause in sentence]
    for clause in clauses:
        clause.claims = [_named(claim, sources) for claim in clause.claims]
    claims = [(claim, clause) for clause in clauses for claim in clause.claims]
    verdicts = [(claim, sources.bear_out(claim, clause)) for claim, clause in claims]
    borne_out = [claim for claim, true in verdicts if true]
    missing = [claim for claim, true in verdicts if not true]
    words = sum(1 for claim, _ in claims if claim.kind == "word")
    allowed = int(words * MISSING_SHARE) if words >= SHORT else 0
    strict = any(claim.kind != "word" for claim in missing)
    known = any(clause.asks for clause in clauses) or _asserted(borne_out, sources)
    return Grounding(
        grounded=bool(borne_out) and not strict and len(missing) <= allowed and known,
        missing=tuple(claim.text for claim in missing),
        coverage=len(borne_out) / len(claims) if claims else 0.0,
    )


def _named(claim: Claim, sources: _Sources) -> Claim:
    """A sentence's first word has a capital anyway: it is a name unless the sources write it without one."""
    is_name = claim.kind == "word" and claim.initial and stem(fold(claim.text)) not in sources.lower
    return claim._replace(kind="name") if is_name else claim


def _asserted(claims: Sequence[Claim], sources: _Sources) -> bool:
    said = [claim for claim in claims if claim.keys & sources.asserted]
    if any(claim.kind != "word" for claim in said):
        return len(said) >= ASSERTED_SHARE * len(claims)
    return len(said) > ASSERTED_SHARE * len(claims)


def _beside(claim: Claim, clause: Clause) -> list[Claim]:
    """Give the plain words next to a claim."""
    at = next(index for index, one in enumerate(clause.claims) if one is claim)
    before, after = (
        [one for one in side if one.kind == "word" and not _is_unit(one)]
        for side in (clause.claims[:at], clause.claims[at + 1 :])
    )
    return before[-BEFORE:] + after[:AFTER]


def _lone_quantities(sentence: Sequence[Clause]) -> Iterator[_Context]:
    """Give a context to each kind of quantity of which a sentence has one: it speaks of the whole sentence."""
    claims = [claim for clause in sentence for claim in clause.claims]
    for kind in ("number", "date"):
        found = [claim for claim in claims if claim.kind == kind]
        if len(found) == 1:
            keys = _keys(claim for claim in claims if claim is found[0] or claim.kind in {"word", "name"})
            yield _Context(keys, keys, frozenset(), bare=False)


def _answered(said: Said, before: Said) -> frozenset[Key]:
    """Give what a message goes on from: the question before it, or whatever was said last if it is short."""
    if not before:
        return frozenset()
    last = before[-1]
    short = sum(1 for _ in _all(said)) < SHORT
    asked = any(clause.question for clause in last)
    return _keys(claim for clause in last for claim in clause.claims) if short or asked else frozenset()


def _follows(clause: Clause, *, first: bool) -> bool:
    """A clause goes on from the one before it unless it begins with a name, and so with another subject."""
    is_answer = first and len(clause.claims) <= 1
    return clause.refers_back or is_answer or not _begins_with_name(clause)


def _begins_with_name(clause: Clause) -> bool:
    return bool(clause.claims) and (clause.claims[0].kind == "name" or clause.claims[0].initial)


def _all(said: Said) -> Iterator[Claim]:
    return (claim for sentence in said for clause in sentence for claim in clause.claims)


def _keys(claims: Iterable[Claim]) -> frozenset[Key]:
    return frozenset[Key]().union(*(claim.keys for claim in claims))


def _is_bare(keys: frozenset[Key]) -> bool:
    return not any(key[0] == "word" and key[1] not in lexicon.UNITS for key in keys)


def _is_unit(claim: Claim) -> bool:
    return any(key[0] == "word" and key[1] in lexicon.UNITS for key in claim.keys)


def _day_said(message: ArchivedMessage, said: Said) -> frozenset[Key]:
    """Give the day on which it was said, unless the message speaks of another day."""
    dates = (claim for claim in _all(said) if claim.kind == "date")
    spoken = any(key[0] in {"date", "weekday"} for claim in dates for key in claim.keys)
    return frozenset() if spoken else day_keys(message.sent_at.date())


def _first_word(text: str) -> str:
    return next(iter(re.findall(r"[a-z]+", fold(text))), "")
