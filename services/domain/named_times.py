"""The days, months and years that a question names, in English or Spanish."""

import calendar
import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

# What happened is talked about then and for some days after.
TALKED_ABOUT = timedelta(days=3)
# A month without a year is that month of each of these years.
YEARS_BACK = 10
EARLIEST = 2_000

_MONTHS = {
    name: number
    for number, names in enumerate(
        (
            "january enero",
            "february febrero",
            "march marzo",
            "april abril",
            "may mayo",
            "june junio",
            "july julio",
            "august agosto",
            "september septiembre setiembre",
            "october octubre",
            "november noviembre",
            "december diciembre",
        ),
        start=1,
    )
    for name in names.split()
}
_MONTH = f"(?P<month>{'|'.join(_MONTHS)})"
_YEAR = r"(?:,?\s+(?:de\s+|del\s+|of\s+)?(?P<year>\d{4}))?"
_NAMED = (
    r"(?P<y>\d{4})-(?P<m>\d{2})-(?P<d>\d{2})",
    rf"(?P<day>\d{{1,2}})(?:st|nd|rd|th)?(?:\s+of|\s+de)?\s+{_MONTH}{_YEAR}",
    rf"{_MONTH}\s+(?P<day>\d{{1,2}})(?:st|nd|rd|th)?{_YEAR}",
    rf"(?P<before>(?:in|of|since|by|until|last|this|during|early|late|mid|from)\s+)?{_MONTH}{_YEAR}",
    r"(?P<year>\d{4})",
)
_PATTERNS = [re.compile(rf"(?<![\w-]){named}(?![\w-])", re.IGNORECASE) for named in _NAMED]
# English verbs too, unless something says that the month is meant.
_VERBS = frozenset({"march", "may"})

_NO_MONTH = 13

Span = tuple[datetime, datetime]


def named_times(question: str, now: datetime) -> tuple[Span, ...]:
    """Give the times in which what the question names was talked about; none where it names no time.

    Nothing later than `now` is meant. Days are those of UTC.
    """
    spans: list[Span] = []
    for pattern in _PATTERNS:
        for match in pattern.finditer(question):
            spans += _spans(match, now)
        # What is read once is not read again as less: a date is no year.
        question = pattern.sub(lambda match: " " if _means_time(match) else match.group(), question)
    return tuple(spans)


def _spans(match: re.Match[str], now: datetime) -> Iterator[Span]:
    found = match.groupdict()
    if not _means_time(match):
        return
    named = found.get("month")
    # Letters that are like those of a month, as the Turkish ones, make none.
    month = _MONTHS.get(named.lower(), _NO_MONTH) if named else int(found.get("m") or 0) or None
    day = int(found.get("d") or found.get("day") or 0) or None
    given = found.get("y") or found.get("year")
    for year in (int(given),) if given else range(now.year, now.year - YEARS_BACK, -1):
        span = _period(year, month, day)
        if span and span[0] <= now:
            yield span


def _means_time(match: re.Match[str]) -> bool:
    found = match.groupdict()
    if year := found.get("year") or found.get("y"):
        return int(year) >= EARLIEST
    name = found["month"]
    if name.lower() not in _VERBS or found.get("day") or found.get("before"):
        return True
    return name[0].isupper() and match.start() > 0


def _period(year: int, month: int | None, day: int | None) -> Span | None:
    try:
        first = date(year, month or 1, day or 1)
        if day:
            last = first
        elif month:
            last = first.replace(day=calendar.monthrange(year, month)[1])
        else:
            last = date(year, 12, 31)
        start = datetime.combine(first, datetime.min.time(), UTC)
        return start, start + (last - first) + timedelta(days=1) + TALKED_ABOUT
    except (ValueError, OverflowError):
        return None
