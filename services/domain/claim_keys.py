"""The keys by which claims are compared: what a word, a number, a time or a date says, in one form."""

import re
from datetime import date
from decimal import Decimal
from functools import lru_cache
from itertools import product

from services.domain.words import stem

Key = tuple[str, object]

# A talk says the same words again and again, and most of it on one day.
_WORDS_KEPT = 4_096
_DAYS_KEPT = 256
_NOON = 12
_THOUSANDS = re.compile(r"[1-9]\d{0,2}(?:([.,])\d{3})(?:\1\d{3})*")


@lru_cache(maxsize=_WORDS_KEPT)
def word_keys(word: str) -> frozenset[Key]:
    return frozenset({("word", stem(word)), *name_keys(word)})


@lru_cache(maxsize=_WORDS_KEPT)
def name_keys(word: str) -> frozenset[Key]:
    bare = word.removesuffix("'s")
    return frozenset({("name", bare), ("name", bare.removesuffix("s"))})


def number_keys(value: Decimal) -> frozenset[Key]:
    return frozenset({("number", value)})


@lru_cache(maxsize=_DAYS_KEPT)
def day_keys(day: date) -> frozenset[Key]:
    return date_keys(day.year, day.month, day.day) | {("weekday", day.weekday()), ("number", Decimal(day.year))}


def date_keys(year: int, month: int, day: int) -> frozenset[Key]:
    """Give the dates that a date bears out: itself, and itself without its year or its day."""
    keys: set[Key] = {("date", parts) for parts in product({year, 0}, {month}, {day, 0})}
    try:
        return frozenset(keys | {("weekday", date(year, month, day).weekday())})
    except ValueError:
        return frozenset(keys)


def time_keys(text: str) -> frozenset[Key]:
    hour, minute = (int(part) for part in [*re.findall(r"\d+", text), "0"][:2])
    half = re.search(r"[ap]\.?m", text, re.IGNORECASE)
    if half:
        hour = hour % _NOON + (_NOON if half.group()[0] in "pP" else 0)
    hours = {hour} if half or hour > _NOON else {hour, (hour + _NOON) % (2 * _NOON)}
    keys: set[Key] = {("time", one * 60 + minute) for one in hours}
    if not minute:
        keys |= {("number", Decimal(hour)), ("number", Decimal(hour % _NOON or _NOON))}
    return frozenset(keys)


def number_of(text: str) -> Decimal:
    """Read digits as English or Spanish writes them: groups of three are thousands, else the last mark is decimal."""
    if text.isdecimal():
        return Decimal(text).normalize()
    if _THOUSANDS.fullmatch(text):
        return Decimal(re.sub(r"[.,]", "", text)).normalize()
    *whole, fraction = re.split(r"[.,]", text)
    return Decimal(f"{''.join(whole)}.{fraction}" if whole else fraction).normalize()
