"""What people and companies answered when they signed up: the column `onboarding`, an object or a list of answers."""

from collections.abc import Mapping
from itertools import chain
from typing import Any

from services.domain.memories import OwnerType
from services.domain.rows.wording import (
    Statement,
    entries,
    is_secret,
    label,
    listed_answers,
    sentence,
    slug_part,
    worded,
)

COLUMN = "onboarding"
# How far somebody came is no answer.
_NO_ANSWERS = {
    "completed", "completed_at", "created_at", "current_step", "finished", "id", "skipped", "started_at", "status",
    "step", "steps", "updated_at", "version",
}  # fmt: skip
_LABELS = {
    "business_type": "tipo de negocio",
    "challenges": "dificultades",
    "company_size": "tamaño de la empresa",
    "employees": "cantidad de empleados",
    "experience": "experiencia",
    "goal": "objetivo",
    "goals": "objetivos",
    "industry": "rubro",
    "interests": "intereses",
    "main_challenge": "principal dificultad",
    "occupation": "ocupación",
    "referral_source": "cómo nos conoció",
    "team_size": "tamaño del equipo",
    "uses_accountant": "trabaja con contador",
}
_SAYS: Mapping[OwnerType, str] = {
    "user": "Al registrarse respondió a «{}»: {}",
    "company": "Al registrar la empresa se respondió a «{}»: {}",
}


def prefix(owner_type: OwnerType) -> str:
    return f"{owner_type}_onboarding_"


def onboarding_memories(owner_type: OwnerType, row: Mapping[str, Any]) -> list[Statement]:
    found = row.get(COLUMN)
    answers = ((slug_part(key), key, worded(value)) for key, value in chain(entries(found), listed_answers(found)))
    return [
        Statement(prefix(owner_type) + part, sentence(_SAYS[owner_type].format(_LABELS.get(part) or label(key), text)))
        for part, key, text in answers
        if text and part not in _NO_ANSWERS and not is_secret(key)
    ]
