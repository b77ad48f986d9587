import math
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

# A date further away is more likely to be wrong than to be meant, and so is a number that large: a date, say.
_LONGEST_WAIT = 86_400.0


def retry_after_seconds(header: str | None, now: datetime) -> float | None:
    """How long a `Retry-After` header asks to wait: a number of seconds or an HTTP date; None when it says nothing.

    A day at most: whoever asks for more, by mistake or not, is asked again after that.
    """
    seconds = _asked(header, now)
    return None if seconds is None else min(max(0.0, seconds), _LONGEST_WAIT)


def _asked(header: str | None, now: datetime) -> float | None:
    if not header:
        return None
    try:
        seconds = float(header)
    except ValueError:
        return _until(header, now)
    return seconds if math.isfinite(seconds) else None


def _until(date: str, now: datetime) -> float | None:
    try:
        then = parsedate_to_datetime(date)
    except (ValueError, OverflowError):
        return None
    if then.tzinfo is None:
        then = then.replace(tzinfo=UTC)
    return (then - now).total_seconds()
