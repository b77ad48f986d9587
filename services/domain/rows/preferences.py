"""What people and companies have set: the column `settings`, a JSON object. How to behave is procedural."""

from collections.abc import Mapping
from typing import Any

from services.domain.memories import OwnerType
from services.domain.rows.wording import Statement, entries, is_secret, label, sentence, slug_part, worded

COLUMN = "settings"
_NO_SETTINGS = {"created_at", "id", "updated_at", "version"}
_LANGUAGES = {
    "de": "alemán", "en": "inglés", "es": "español", "fr": "francés", "it": "italiano", "pt": "portugués",
}  # fmt: skip
_TONES = {"casual": "informal", "formal": "formal", "friendly": "cercano", "professional": "profesional"}
_LENGTHS = {
    "brief": "breves", "concise": "breves", "detailed": "detalladas", "long": "detalladas", "short": "breves",
}  # fmt: skip
_CHANNELS = {"email": "correo electrónico", "phone": "teléfono", "push": "el dispositivo", "sms": "SMS"}
_NOTIFICATIONS = "notifications_"
# By setting: what to do because of it, and what its known values are called.
_BEHAVIOUR: Mapping[str, tuple[str, Mapping[str, str]]] = {
    "currency": ("Hay que mostrarle los montos en {}", {}),
    "date_format": ("Hay que escribirle las fechas con el formato {}", {}),
    "language": ("Hay que responderle en {}", _LANGUAGES),
    "nickname": ("Hay que usar este nombre al hablarle: {}", {}),
    "preferred_name": ("Hay que usar este nombre al hablarle: {}", {}),
    "response_length": ("Hay que darle respuestas {}", _LENGTHS),
    "tone": ("Hay que hablarle con un tono {}", _TONES),
    "verbosity": ("Hay que darle respuestas {}", _LENGTHS),
}
_FACTS = {"timezone": "Su zona horaria es {}"}
_SAME = {
    "idioma": "language",
    "locale": "language",
    "time_zone": "timezone",
    "tono": "tone",
    "zona_horaria": "timezone",
}


def prefix(owner_type: OwnerType) -> str:
    return f"{owner_type}_settings_"


def settings_memories(owner_type: OwnerType, row: Mapping[str, Any]) -> list[Statement]:
    named = ((slug_part(key), key, value) for key, value in entries(row.get(COLUMN)))
    return [
        _statement(prefix(owner_type) + part, part, key, value, text)
        for part, key, value in named
        if (text := worded(value)) and part not in _NO_SETTINGS and not is_secret(key)
    ]


def _statement(slug: str, part: str, key: str, value: object, text: str) -> Statement:
    known = _SAME.get(part, part)
    if known in _BEHAVIOUR and not isinstance(value, bool):
        says, names = _BEHAVIOUR[known]
        return Statement(slug, sentence(says.format(_named(names, text))), "procedural")
    if known in _FACTS:
        return Statement(slug, sentence(_FACTS[known].format(text)))
    if isinstance(value, bool) and part.startswith(_NOTIFICATIONS):
        channel = part.removeprefix(_NOTIFICATIONS)
        wants = "Quiere" if value else "No quiere"
        return Statement(slug, sentence(f"{wants} recibir avisos por {_CHANNELS.get(channel, channel)}"), "procedural")
    if isinstance(value, bool):
        return Statement(slug, sentence(f"Tiene {'' if value else 'des'}activada la opción «{label(key)}»"))
    return Statement(slug, sentence(f"En sus ajustes, «{label(key)}» es: {text}"))


def _named(names: Mapping[str, str], text: str) -> str:
    """A locale is its language: «es-CL» is «español (es-CL)»."""
    lower = text.lower()
    if lower in names:
        return names[lower]
    language = lower.replace("_", "-").partition("-")[0]
    return f"{names[language]} ({text})" if language in names else text
