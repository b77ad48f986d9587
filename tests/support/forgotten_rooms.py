"""Rooms whose speakers are forgotten: what was claimed before, and what afterwards."""

from datetime import UTC, datetime

from sqlalchemy import text

from services.domain.memories import Owner, owner_of
from services.domain.messages import ClaimedEntry, NewMessage
from services.postgres.archive.writing import Archive
from services.postgres.database import Database
from services.postgres.forgetting.erasing_owner import OwnerEraser
from services.postgres.forgetting.forgettings import Forgettings
from tests.support.tenants import NOON

ANA = owner_of("user", "ana")
BEFORE, CUT, AFTER = (datetime(2026, 3, 2, hour, tzinfo=UTC) for hour in (10, 11, 12))


def claim(at: datetime, name: str = "c") -> str:
    return f"{name}.{int(at.timestamp())}.{at.microsecond}"


def said(id_: str, user_id: str | None = "ana", company_id: str | None = None, *, role: str = "user") -> NewMessage:
    return NewMessage(id_, role, f"content of {id_}", user_id, company_id, NOON)


async def archive(database: Database, room: str, at: datetime, *messages: NewMessage, raw: bytes = b"") -> None:
    entries = [ClaimedEntry(number, raw, message) for number, message in enumerate(messages)]
    await Archive(database).add(room, claim(at), entries, run_id="run")


async def ids_in(database: Database, room: str) -> list[str]:
    async with database.transaction() as session:
        return list(await session.scalars(text("select id from messages where room_id = :r order by seq"), {"r": room}))


async def begin_epoch(database: Database, owner: Owner = ANA, run_id: str = "run") -> None:
    """Begin to forget: nothing that was claimed before `CUT` comes in any more."""
    runs = Forgettings(database)
    await runs.begin_epoch(await runs.open(run_id, owner), CUT)


async def forget(database: Database, owner: Owner = ANA, run_id: str = "run") -> None:
    await begin_epoch(database, owner, run_id)
    run, eraser = await Forgettings(database).get(run_id), OwnerEraser(database)
    while await eraser.erase_page(run):
        pass
