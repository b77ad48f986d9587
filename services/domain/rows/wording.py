"""What the values of a row read like in Spanish, and what a memory made of them is called."""

import hashlib
import json
import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

from services.domain.memories import Kind

_MONTHS = (
    "enero", "febrero", "marzo", "abril", "mayo", "junio", "julio", "agosto", "septiembre", "octubre", "noviembre",
    "diciembre",
)  # fmt: skip
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f]+")
_NOT_IN_A_SLUG = re.compile(r"[^a-z0-9]+")
# In Spanish a «clave» is a password, but where it says which words are key.
_SECRET = re.compile(
    r"passw|pwd|secret|token|(api|access|private)_?key|credential|contrasena|otp|cvv|pin_?code"
    r"|(^|_)(pin|hash|salt)($|_)|(^|(?<!palabra)(?<!palabras)_)claves?($|_)"
)
_NEW_WORD = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_SLUG_PART = 80


@dataclass(frozen=True, slots=True)
class Statement:
    """What a row says under a slug."""

    slug: str
    content: str
    kind: Kind = "semantic"


def worded(value: object) -> str | None:
    """Give a value as text in one line; None where there is nothing to say."""
    match value:
        case bool():
            return "sí" if value else "no"
        case str():
            return " ".join(_CONTROLS.sub(" ", value).split()) or None
        case int() | float():
            return format(Decimal(repr(value)).normalize(), "f") if isinstance(value, float) else str(value)
        case list():
            return _listed([text for each in value if (text := worded(each))])
        case _:
            return None


def _listed(texts: list[str]) -> str | None:
    if len(texts) < 2:  # noqa: PLR2004  one needs no conjunction
        return texts[0] if texts else None
    # As in «padres e hijos»; «nieve y hielo» keeps its y.
    joint = "e" if re.match(r"h?i(?!e)", texts[-1], re.IGNORECASE) else "y"
    return f"{', '.join(texts[:-1])} {joint} {texts[-1]}"


def day(text: str) -> str | None:
    """Give a date as it is spoken: «1 de marzo de 2019»; None for what is no date."""
    try:
        read: date = datetime.fromisoformat(text).date()
    except ValueError:
        return None
    return f"{read.day} de {_MONTHS[read.month - 1]} de {read.year}"


def sentence(text: str) -> str:
    """End with a full stop, where nothing ends it yet."""
    return text if text.endswith((".", "!", "?", "…")) else f"{text}."


def slug_part(key: str) -> str:
    """Make a part of a slug of any key; one that is too long is cut, and told apart by a mark of its own."""
    bare = unicodedata.normalize("NFKD", key).encode("ascii", "ignore").decode().lower()
    part = _NOT_IN_A_SLUG.sub("_", bare).strip("_")
    if part and len(part) <= _SLUG_PART:
        return part
    mark = hashlib.sha256(key.encode(errors="replace")).hexdigest()[:8]
    return f"{part[:_SLUG_PART]}_{mark}" if part else mark


def is_secret(key: str) -> bool:
    """Tell by its name what must never become a memory: `apiKey` as well as `api_key`."""
    return _SECRET.search(slug_part(_NEW_WORD.sub("_", key))) is not None


def label(key: str) -> str:
    return " ".join(re.sub(r"[_.\-]+", " ", _CONTROLS.sub(" ", key)).split())


def entries(value: object) -> Iterator[tuple[str, object]]:
    """Give the keys and values of a JSON object, or of its text; what is nested once gets both keys."""
    found = _parsed(value)
    if not isinstance(found, Mapping):
        return
    for key, inner in found.items():
        if isinstance(inner, Mapping):
            yield from ((f"{key}_{below}", deepest) for below, deepest in inner.items())
        else:
            yield str(key), inner


def listed_answers(value: object) -> Iterator[tuple[str, object]]:
    """Give the questions and answers of a list of objects that hold both."""
    found = _parsed(value)
    if isinstance(found, list):
        for each in found:
            if isinstance(each, Mapping) and isinstance(question := each.get("question"), str):
                yield question, each.get("answer")


def _parsed(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        return None
