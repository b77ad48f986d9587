"""Reads all that Postgres holds of an owner, a page at a time, each under the owner's own rights where they reach."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, Text, bindparam, text
from sqlalchemy.sql.elements import TextClause

from services.domain.forgetting import ids_of
from services.domain.memories import Owner
from services.postgres.database import Database, Tenant

_PAGE = 200


@dataclass(frozen=True, slots=True)
class ExportedTable:
    """A part of an export: which `rows` of a table it shows as JSON, in the order of `keys`, which begin at `start`."""

    name: str
    about: str
    table: str
    shown: str
    rows: str
    keys: tuple[str, ...] = ("id",)
    start: tuple[object, ...] = (UUID(int=0),)
    by_tenant: bool = True
    of: tuple[str, ...] = ("user", "company")

    @property
    def statement(self) -> str:
        keys = ", ".join(f"{self.table}.{key}" for key in self.keys)
        after = ", ".join(f":after_{number}" for number in range(len(self.keys)))
        return (
            f"select {self.shown} as shown, {keys} from {self.table} "  # noqa: S608  all of it is ours
            f"where {self.rows} and ({keys}) > ({after}) order by {keys} limit :limit"
        )


_OWNED = "rooms.owner_type = cast(:type as text) and rooms.owner_id = :id"
_OF_ROOM = "exists (select from rooms where rooms.id = {table}.room_id and " + _OWNED + ")"
_PLACE: dict[str, Any] = {"keys": ("room_id", "seq"), "start": ("", 0)}
_MESSAGE = "to_jsonb(messages) - 'lexemes' - 'fingerprint' - 'claim'"
_SOURCES = "(select coalesce(jsonb_agg(message_uid), '[]') from memory_sources where version_id = memory_versions.id)"
TABLES = (
    ExportedTable(
        "rooms",
        "the rooms that belong to you",
        "rooms",
        "to_jsonb(rooms)",
        _OWNED,
        start=("",),
    ),
    ExportedTable(
        "messages",
        "what was said in those rooms",
        "messages",
        _MESSAGE,
        _OF_ROOM.format(table="messages"),
        **_PLACE,
    ),
    ExportedTable(
        "messages_elsewhere",
        "what you said in rooms that belong to others",
        "messages",
        _MESSAGE,
        f"messages.user_id = any(:ids) and not {_OF_ROOM.format(table='messages')}",
        **_PLACE,
        by_tenant=False,
        of=("user",),
    ),
    ExportedTable(
        "summaries",
        "what was summarised of your rooms",
        "summaries",
        "to_jsonb(summaries) - 'lexemes'",
        _OF_ROOM.format(table="summaries"),
    ),
    ExportedTable(
        "memories",
        "what is remembered about you: each version that a memory ever had, with the messages that bear it out",
        "memory_versions",
        f"to_jsonb(memory_versions) - 'lexemes' || jsonb_build_object('sources', {_SOURCES})",
        "coalesce(memory_versions.user_id, memory_versions.company_id) = :id "
        "and (memory_versions.user_id is not null) = (cast(:type as text) = 'user')",
    ),
    ExportedTable(
        "quarantine",
        "what of your rooms could not be read, as it came",
        "quarantine",
        "to_jsonb(quarantine) || jsonb_build_object('raw', encode(raw, 'escape'))",
        _OF_ROOM.format(table="quarantine"),
        by_tenant=False,
    ),
)
_PROFILES = {
    "user": "select to_jsonb(profiles) from profiles where id = :id",
    "company": "select to_jsonb(companies) from companies where id = :id",
}


class OwnerExport:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def profile(self, owner: Owner) -> dict[str, Any] | None:
        """Give the owner's own row, whatever its columns are."""
        async with self._database.transaction() as session:
            found: dict[str, Any] | None = await session.scalar(text(_PROFILES[owner.type]), {"id": owner.id})
        return found

    async def rows(self, owner: Owner, table: ExportedTable) -> AsyncIterator[dict[str, Any]]:
        """Give the rows of one part; each page is a short transaction."""
        profile = await self.profile(owner)
        ids = ids_of(owner, profile.get("external_id") if profile else None)
        tenant = Tenant.of(owner) if table.by_tenant else None
        asked: dict[str, object] = {"type": owner.type, "id": owner.id, "limit": _PAGE}
        if ":ids" in table.rows:
            asked["ids"] = list(ids)
        statement, after = _bound(table), table.start
        while True:
            since = {f"after_{number}": value for number, value in enumerate(after)}
            async with self._database.transaction(tenant) as session:
                page = (await session.execute(statement, asked | since)).all()
            for row in page:
                yield row.shown
            if len(page) < _PAGE:
                return
            after = tuple(page[-1][1:])


def _bound(table: ExportedTable) -> TextClause:
    statement = text(table.statement)
    return statement.bindparams(bindparam("ids", type_=ARRAY(Text))) if ":ids" in table.rows else statement
