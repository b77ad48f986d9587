"""What a text claims, clause by clause: its words, names, numbers, times and dates, as keys that can be compared.

Two claims agree when they share a key. A claim of a statement offers each reading that would do (`1.200` is a thousand
and more; 2/3/2026 is in February or in March); a claim of a source offers each statement that it bears out.
"""

import re
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from typing import Literal, NamedTuple

from services.domain import lexicon
from services.domain.claim_keys import Key, date_keys, day_keys, name_keys, number_keys, number_of, time_keys, word_keys
from services.domain.words import plain, sentences, stem

Kind = Literal["word", "name", "number", "date"]

# After a negation so many claims are negated for certain, what follows in the clause perhaps: `no longer drinks coffee`
# says little of the coffee, but where that is the source, nobody `drinks coffee`.
NEGATED_IN_STATEMENT = 1
NEGATED_IN_SOURCE = 3
TEN, CENTURY, MOST_DAYS, MONTHS = 10, 100, 31, 12


class Claim(NamedTuple):
    """One thing that is claimed. `polarity` is -1 when negated, 1 when not, 0 when that is not clear."""

    kind: Kind
    text: str
    keys: frozenset[Key]
    polarity: int = 1
    initial: bool = False
    direction: str = ""


@dataclass(slots=True)
class Clause:
    """A question `presumes` when it asks who, where or how much of something that is so."""

    claims: list[Claim] = field(default_factory=list)
    refers_back: bool = False
    question: bool = False
    presumes: bool = False
    asks: bool = False


def read(text: str, sent: date | None = None) -> list[list[Clause]]:
    """Give the clauses of each sentence. `sent` is the day it was said on: it is what makes a text a source."""
    said = (_Reader(sentence, sent).clauses() for sentence in sentences(text))
    return [clauses for clauses in said if clauses]


_MONTH = "|".join(sorted(lexicon.MONTHS, key=len, reverse=True))
# Looking ahead changes nothing: few words stand before a number, and only those can begin a date.
_TOKEN = re.compile(
    rf"""
      (?=\d)(?:
          (?P<iso>\b\d{{4}}-\d{{1,2}}-\d{{1,2}})(?:T[\d:.+Z-]+)?
        | \b(?P<numeric>\d{{1,2}}[/.-]\d{{1,2}}[/.-](?:\d{{4}}|\d{{2}}))\b
        | \b(?P<day_first>\d{{1,2}}(?:st|nd|rd|th|o)?\s+(?:of\s+|de\s+)?(?:{_MONTH})\b(?:,?\s+(?:del?\s+)?\d{{4}})?)\b
        | \b(?P<time>\d{{1,2}}:\d{{2}}(?:\s*[ap]\.?m\b)?|\d{{1,2}}\s*[ap]\.?m\b)
      )
    | (?=\w++\.?\s++(?:del?\s+|of\s+)?\d)(?:
          \b(?P<month_first>(?:{_MONTH})\.?\s+\d{{1,2}}(?:st|nd|rd|th)?(?:,?\s+\d{{4}})?)\b(?![:.,]\d)
        | \b(?P<month_year>(?:{_MONTH})\s+(?:del?\s+|of\s+)?\d{{4}})\b
      )
    | (?P<code>\b(?:[a-z]++-?\d+\w*|\d++[a-z]++\d+\w*)(?:-\w+)*)
    | (?P<number>\d+(?:[.,]\d+)*)
    | (?P<word>[^\W\d_]+(?:['\u2019][^\W\d_]+)?)
    | (?P<pause>[,;:.!?()\n\u2013\u2014])
    """,
    re.IGNORECASE | re.VERBOSE,
)
_LETTERS = re.compile(r"[a-z]+")
_TURNS = lexicon.NEGATORS | lexicon.CONTRASTS | lexicon.JOINERS | lexicon.PRONOUNS | lexicon.ONE
_DAYS = lexicon.LONG_MONTHS.union(lexicon.RELATIVE_DAYS, lexicon.WEEKDAYS)
_SILENT = lexicon.STOP_WORDS | lexicon.NEGATORS
_DIRECTIONS = (
    dict.fromkeys(lexicon.FROM, "of") | dict.fromkeys(lexicon.PLAIN_FROM, "from") | dict.fromkeys(lexicon.TO, "to")
)


class _Reader:
    """Read one sentence."""

    def __init__(self, sentence: str, sent: date | None) -> None:
        self._text = plain(sentence)
        self._sent = sent
        self._question = "?" in sentence
        words = frozenset(_LETTERS.findall(self._text.casefold()) if self._question else ())
        self._presumes = bool(words & lexicon.WH_WORDS) and not words & lexicon.MODALS
        self._clause = self._new()
        self._done: list[Clause] = []
        self._negated = 0  # claims still under a negation; -1 when they may be
        self._before = ""
        self._started = False

    def clauses(self) -> list[Clause]:
        for match in _TOKEN.finditer(self._text):
            kind = match.lastgroup or ""
            text = match.group()
            low = text.casefold()
            if kind == "word":
                self._word(text, low.replace("\u2019", "'"))
            elif kind == "pause":
                self._close(negated=0)
            else:
                self._quantity(kind, match.group(kind))
            self._before = low
            self._started = True
        self._close(negated=0)
        return _merged(self._done)

    def _word(self, text: str, word: str) -> None:
        if word in _TURNS or word.endswith("n't"):
            self._turn(text, word)
        if stem(word) in lexicon.ASKING:
            self._clause.asks = True
        kind, keys = self._meaning(text, word)
        if keys:
            initial = not self._started and text[0].isupper()
            self._add(kind, text, keys, initial=initial, direction=_DIRECTIONS.get(self._before, ""))

    def _turn(self, text: str, word: str) -> None:
        """Note what a word does to the words beside it."""
        if word in lexicon.NEGATORS or word.endswith("n't"):
            self._negated = NEGATED_IN_SOURCE if self._sent else NEGATED_IN_STATEMENT
        elif word in lexicon.CONTRASTS:
            self._close(negated=0)
        elif word in lexicon.JOINERS:
            self._close(negated=-1 if self._negated else 0)
        if word in lexicon.PRONOUNS and not self._clause.claims:
            self._clause.refers_back = True
        if self._sent and word in lexicon.ONE:
            self._clause.claims.append(Claim("number", text, number_keys(Decimal(1)), 0))

    def _meaning(self, text: str, word: str) -> tuple[Kind, frozenset[Key]]:
        day = self._day(word, capital=text[0].isupper()) if word in _DAYS else frozenset()
        if day:
            return "date", day
        if word in lexicon.NUMBERS or word in lexicon.SCALES:
            return "number", self._number_word(word)
        if word in _SILENT or (self._sent is None and _reports(text, word)):
            return "word", frozenset()
        named = (self._started and text[0].isupper()) or _has_capitals(text)
        keys = name_keys(word) if named and self._sent is None else word_keys(word)
        return ("name" if named else "word"), keys

    def _day(self, word: str, *, capital: bool) -> frozenset[Key]:
        if word in lexicon.RELATIVE_DAYS and self._before != "la":
            return self._relative_day(lexicon.RELATIVE_DAYS[word])
        if word in lexicon.WEEKDAYS:
            return self._weekday(lexicon.WEEKDAYS[word])
        if word in lexicon.LONG_MONTHS and (capital or word not in lexicon.DOUBTFUL_MONTHS):
            return self._date(0, lexicon.MONTHS[word], 0)
        return frozenset()

    def _number_word(self, word: str) -> frozenset[Key]:
        value = Decimal(lexicon.SCALES.get(word) or lexicon.NUMBERS[word])
        last = self._clause.claims[-1] if self._clause.claims else None
        adjacent = last is not None and last.kind == "number" and last.text.casefold() == self._before
        if adjacent and last is not None and (word in lexicon.SCALES or value < TEN <= _value(last)):
            self._clause.claims.pop()
            value = _value(last) * value if word in lexicon.SCALES else _value(last) + value
        return number_keys(value.normalize())

    def _quantity(self, kind: str, text: str) -> None:
        if kind == "number":
            self._add("number", text, number_keys(number_of(text)))
        elif kind == "code":
            self._add("name", text, frozenset({("name", text.casefold().replace("-", ""))}))
        elif kind == "time":
            self._add("date", text, time_keys(text))
        elif kind == "numeric":
            self._add("date", text, self._numeric_date(text))
        else:
            self._add("date", text, self._written_date(text))

    def _written_date(self, text: str) -> frozenset[Key]:
        """Read `2026-03-02`, `March 2nd, 2026`, `2 de marzo de 2026`, `March 2026`."""
        month = next(
            (lexicon.MONTHS[word] for word in re.findall(r"[a-z]+", text.casefold()) if word in lexicon.MONTHS), 0
        )
        numbers = [int(number) for number in re.findall(r"\d+", text)]
        if not month:
            return self._date(*numbers)
        year = next((number for number in numbers if number > MOST_DAYS), 0)
        day = next((number for number in numbers if number <= MOST_DAYS), 0)
        return self._date(year, month, day)

    def _numeric_date(self, text: str) -> frozenset[Key]:
        first, second, year = (int(part) for part in re.split(r"[/.-]", text))
        year += 2000 if year < CENTURY else 0
        readings = [
            self._date(year, month, day) for day, month in ((first, second), (second, first)) if month <= MONTHS
        ]
        return frozenset[Key]().union(*readings)

    def _date(self, year: int, month: int, day: int) -> frozenset[Key]:
        if self._sent is None:
            return frozenset({("date", (year, month, day))})
        years = (
            {year} if year else {self._sent.year, self._sent.year + ((month, day) < (self._sent.month, self._sent.day))}
        )
        keys = frozenset[Key]().union(*(date_keys(one, month, day) for one in years))
        return keys | {("number", Decimal(year))} if year else keys

    def _weekday(self, weekday: int) -> frozenset[Key]:
        """A weekday; in a source also the days of that name before and after it was said."""
        keys: frozenset[Key] = frozenset({("weekday", weekday)})
        if self._sent is None:
            return keys
        ahead = (weekday - self._sent.weekday()) % 7
        days = [self._days_from(ahead + weeks) for weeks in (-7, 0)]
        return keys.union(*(date_keys(day.year, day.month, day.day) for day in days if day))

    def _relative_day(self, offset: int) -> frozenset[Key]:
        keys: frozenset[Key] = frozenset({("relative", offset)})
        day = self._days_from(offset)
        return keys | day_keys(day) if day else keys

    def _days_from(self, offset: int) -> date | None:
        """Give the day so many days after it was said; None before the first of all days and after the last."""
        try:
            return self._sent + timedelta(days=offset) if self._sent else None
        except OverflowError:
            return None

    def _add(self, kind: Kind, text: str, keys: frozenset[Key], *, initial: bool = False, direction: str = "") -> None:
        polarity = 1 if not self._negated else -1 if self._negated > 0 else 0
        self._clause.claims.append(Claim(kind, text, keys, polarity, initial, direction))
        if self._negated > 0:
            self._negated = self._negated - 1 or -1

    def _close(self, *, negated: int) -> None:
        self._done.append(self._clause)
        self._clause = self._new()
        self._negated = negated

    def _new(self) -> Clause:
        return Clause(question=self._question, presumes=self._presumes)


def _reports(text: str, word: str) -> bool:
    """A capital may begin a name that only resembles a reporting word: then it must be one to the letter."""
    return word in lexicon.REPORTING_WORDS or (not text[0].isupper() and stem(word) in lexicon.REPORTING)


def _has_capitals(text: str) -> bool:
    return not text.islower() and sum(letter.isupper() for letter in text) > 1


def _value(claim: Claim) -> Decimal:
    return next(value for _, value in claim.keys if isinstance(value, Decimal))


def _merged(clauses: list[Clause]) -> list[Clause]:
    """Join a clause of one claim to the one before it: it is an item of a list, or an aside."""
    merged: list[Clause] = []
    for clause in clauses:
        if merged and len(clause.claims) <= 1:
            merged[-1].claims.extend(clause.claims)
            merged[-1].asks |= clause.asks
        else:
            merged.append(clause)
    return [clause for clause in merged if clause.claims or clause.asks]
