"""Reads people's and companies' rows, a page at a time, with what they said before."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.domain.errors import InvalidInputError
from services.domain.memories import Owner, OwnerType
from services.domain.rows.assertions import UPDATED_AT, Said, columns_of
from services.postgres.database import Database
from services.postgres.forgetting import epochs

_TABLES: Mapping[OwnerType, str] = {"user": "profiles", "company": "companies"}
# The tables may be the host's own: only what is there can be asked for.
_HAS_COLUMN = text(
    "select exists (select from pg_attribute where attrelid = cast(:place as regclass) and attname = :name "
    "and not attisdropped)"
)
_ROWS = (
    "select id, (select jsonb_object_agg(key, value) from jsonb_each(to_jsonb(owners)) "
    "where key = any (cast(:columns as text[]))) as row from {place} as owners where id = any (cast(:ids as uuid[])) "
    "order by id"
)
_SAID = (
    "select distinct on (said.brain_id) said.{owner} as owner_id, said.slug, said.content, said.kind, "
    "said.asserted_at, said.run_id, coalesce(now.made_by = 'row', false) as stands "
    "from memory_versions as said "
    "left join memory_versions as now on now.brain_id = said.brain_id and now.is_current "
    "where said.{owner} = any (cast(:ids as uuid[])) and said.made_by = 'row' "
    "order by said.brain_id, said.recorded_at desc, said.asserted_at desc"
)
_SINCE = "updated_at >= cast(:since as timestamptz)"
_MISSING = (
    "not exists (select from memory_versions as said where said.{owner} = owners.id and said.made_by = 'row' "
    "and said.run_id is distinct from :run_id)"
)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which rows are read: those changed `since`; with `only_missing` those that said nothing before `run_id`."""

    owner_type: OwnerType
    run_id: str = ""
    since: datetime | None = None
    only_missing: bool = False


@dataclass(frozen=True, slots=True)
class OwnerRow:
    """An owner's row as `to_jsonb` gives it, what it last said under each slug, and the epoch that it was read in."""

    owner: Owner
    row: Mapping[str, Any]
    said: Mapping[str, Said]
    epoch: int


class OwnerRows:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def count(self, wanted: Wanted) -> int:
        """Count the rows that are wanted. Raises `InvalidInputError` where the host's table cannot tell."""
        async with self._database.transaction() as session:
            await _check(session, wanted)
            question, given = _chosen("count(*)", wanted)
            return int(await session.scalar(text(question), given))

    async def page(self, wanted: Wanted, *, after: UUID | None, limit: int) -> list[OwnerRow]:
        """Give the next rows by id."""
        question, given = _chosen("id", wanted, after)
        ids = text(f"{question} order by id limit :limit")
        async with self._database.transaction() as session:
            return await _read(session, wanted.owner_type, list(await session.scalars(ids, given | {"limit": limit})))

    async def find(self, owner: Owner) -> OwnerRow | None:
        async with self._database.transaction() as session:
            found = await _read(session, owner.type, [owner.id])
        return found[0] if found else None


async def _check(session: AsyncSession, wanted: Wanted) -> None:
    place = _TABLES[wanted.owner_type]
    if wanted.since and not await session.scalar(_HAS_COLUMN, {"place": place, "name": UPDATED_AT}):
        raise InvalidInputError("since", f"nothing here: the table {place} has no column {UPDATED_AT}")


def _chosen(what: str, wanted: Wanted, after: UUID | None = None) -> tuple[str, dict[str, object]]:
    conditions = {
        "id > cast(:after as uuid)": after is not None,
        _SINCE: wanted.since is not None,
        _MISSING.format(owner=_owner_column(wanted.owner_type)): wanted.only_missing,
    }
    given = {"after": after, "since": wanted.since, "run_id": wanted.run_id}
    chosen = " and ".join(condition for condition, is_asked in conditions.items() if is_asked) or "true"
    question = f"select {what} from {_TABLES[wanted.owner_type]} as owners where {chosen}"  # noqa: S608  words of ours
    return question, {name: value for name, value in given.items() if f":{name}" in chosen}


async def _read(session: AsyncSession, owner_type: OwnerType, ids: Sequence[UUID]) -> list[OwnerRow]:
    if not ids:
        return []
    # Before the rows are: what is forgotten after it is not written from them.
    epoch = await epochs.current(session)
    rows = text(_ROWS.format(place=_TABLES[owner_type]))
    found = await session.execute(rows, {"ids": list(ids), "columns": columns_of(owner_type)})
    told = await session.execute(text(_SAID.format(owner=_owner_column(owner_type))), {"ids": list(ids)})
    said: defaultdict[UUID, dict[str, Said]] = defaultdict(dict)
    for one in told:
        said[one.owner_id][one.slug] = Said(one.content, one.kind, one.asserted_at, one.stands, one.run_id)
    return [OwnerRow(Owner(owner_type, row.id), row.row or {}, said[row.id], epoch) for row in found]


def _owner_column(owner_type: OwnerType) -> str:
    return f"{owner_type}_id"
