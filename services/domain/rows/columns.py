"""What the columns of a person's and of a company's row say."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from services.domain.memories import OwnerType
from services.domain.rows.wording import Statement, day, sentence, worded


@dataclass(frozen=True, slots=True)
class Column:
    """A column, the slug of what it says, and the sentence; `dated` is the sentence where it holds a date."""

    name: str
    slug: str
    says: str
    dated: str | None = None


USER_COLUMNS = (
    Column("full_name", "user_full_name", "Su nombre completo es {}"),
    Column("email", "user_email", "Su correo electrónico es {}"),
    Column("phone", "user_phone", "Su número de teléfono es {}"),
    Column("role", "user_role", "Su función es: {}"),
)
COMPANY_COLUMNS = (
    Column("tax_regime", "company_tax_regime", "El régimen tributario de la empresa es: {}"),
    Column("activity", "company_activity", "La empresa se dedica a lo siguiente: {}"),
    Column("legal_representative", "company_legal_representative", "La representación legal de la empresa la tiene {}"),
    Column(
        "start_date",
        "company_start_date",
        "La fecha de inicio de actividades de la empresa es: {}",
        "La empresa inició sus actividades el {}",
    ),
    Column(
        "accounting_start",
        "company_accounting_start",
        "El inicio de la contabilidad de la empresa es: {}",
        "La contabilidad de la empresa comienza el {}",
    ),
)
COLUMNS: Mapping[OwnerType, tuple[Column, ...]] = {"user": USER_COLUMNS, "company": COMPANY_COLUMNS}


def user_memories(row: Mapping[str, Any]) -> list[Statement]:
    return _statements(USER_COLUMNS, row)


def company_memories(row: Mapping[str, Any]) -> list[Statement]:
    return _statements(COMPANY_COLUMNS, row)


def _statements(columns: tuple[Column, ...], row: Mapping[str, Any]) -> list[Statement]:
    said = ((column, worded(row.get(column.name))) for column in columns)
    return [Statement(column.slug, _told(column, text)) for column, text in said if text]


def _told(column: Column, text: str) -> str:
    if column.dated and (spoken := day(text)):
        return sentence(column.dated.format(spoken))
    return sentence(column.says.format(text))
