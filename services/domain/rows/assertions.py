"""Decides what to assert of a row, given what it said before."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from services.domain.memories import Kind, NewMemory, OwnerType
from services.domain.rows import onboarding, preferences
from services.domain.rows.columns import COLUMNS, company_memories, user_memories
from services.domain.rows.wording import Statement

UPDATED_AT = "updated_at"
_WHOLE = (onboarding, preferences)


@dataclass(frozen=True, slots=True)
class Said:
    """What a row last said under a slug, and in which run; `stands` while nobody else has said anything newer."""

    content: str | None
    kind: Kind
    asserted_at: datetime
    stands: bool
    run_id: str | None = None


def columns_of(owner_type: OwnerType) -> list[str]:
    """Name the columns that are read, where the host's table has them."""
    return [*(column.name for column in COLUMNS[owner_type]), *(part.COLUMN for part in _WHOLE), UPDATED_AT]


def statements(owner_type: OwnerType, row: Mapping[str, Any]) -> dict[str, Statement]:
    """Give all that a row says, by slug; an empty field says nothing."""
    told = user_memories(row) if owner_type == "user" else company_memories(row)
    told += onboarding.onboarding_memories(owner_type, row)
    told += preferences.settings_memories(owner_type, row)
    return {statement.slug: statement for statement in told}


def assertions(
    owner_type: OwnerType,
    row: Mapping[str, Any],
    said: Mapping[str, Said],
    *,
    now: datetime,
    run_id: str,
    epoch: int = 0,
) -> list[NewMemory]:
    """Give what the row says otherwise than before, and what it no longer says.

    What it says as before is not asserted again: a row is touched for many reasons, and what somebody has said in chat
    meanwhile is newer. What others have said since is not the row's to end.
    """
    told = statements(owner_type, row)
    new = [
        (statement.slug, statement.content, statement.kind)
        for statement in told.values()
        if not _says(said.get(statement.slug), statement)
    ]
    ended = [
        (slug, None, last.kind)
        for slug, last in said.items()
        if slug not in told and last.stands and last.content is not None and _is_asked(owner_type, row, slug)
    ]
    return [
        NewMemory(slug, content, _since(row, said.get(slug), now), kind, made_by="row", run_id=run_id, epoch=epoch)
        for slug, content, kind in [*new, *ended]
    ]


def _says(last: Said | None, statement: Statement) -> bool:
    return last is not None and (last.content, last.kind) == (statement.content, statement.kind)


def _is_asked(owner_type: OwnerType, row: Mapping[str, Any], slug: str) -> bool:
    """Tell whether the row has the column that would say it: one that the host has not says nothing either way."""
    if any(column.slug == slug and column.name in row for column in COLUMNS[owner_type]):
        return True
    return any(slug.startswith(part.prefix(owner_type)) and part.COLUMN in row for part in _WHOLE)


def _since(row: Mapping[str, Any], last: Said | None, now: datetime) -> datetime:
    """Say since when it holds: the row's own time, unless the row has changed without it."""
    updated_at = _time(row.get(UPDATED_AT))
    if updated_at is None or (last and updated_at <= last.asserted_at):
        return now
    return updated_at


def _time(value: object) -> datetime | None:
    if not isinstance(value, str):
        return None
    try:
        read = datetime.fromisoformat(value)
    except ValueError:
        return None
    return read if read.tzinfo else read.replace(tzinfo=UTC)
