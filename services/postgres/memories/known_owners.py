"""Names the people and companies that rooms belong to."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import cast
from uuid import UUID

from sqlalchemy import case, func, select, true

from services.domain.memories import OwnerType
from services.postgres.database import Database
from services.postgres.tables.archive import Room


@dataclass(frozen=True, slots=True)
class KnownOwner:
    """A person or company with rooms; `external_id` is what the host calls it, where a message said so."""

    type: OwnerType
    id: UUID
    external_id: str | None
    rooms: int
    last_archived_at: datetime


class KnownOwners:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def recent(self, *, limit: int, within: Collection[UUID] | None = None) -> list[KnownOwner]:
        """Give the owners of rooms, whose rooms were written to last first; `within` leaves out all others."""
        named = func.max(case((Room.owner_type == "user", Room.user_id), else_=Room.company_id))
        last = func.max(Room.last_archived_at)
        wanted = (
            select(Room.owner_type, Room.owner_id, named, func.count(), last)
            .where(Room.owner_id.is_not(None), true() if within is None else Room.owner_id.in_(within))
            .group_by(Room.owner_type, Room.owner_id)
            .order_by(last.desc(), Room.owner_id)
            .limit(limit)
        )
        async with self._database.transaction() as session:
            rows = (await session.execute(wanted)).all()
        return [KnownOwner(cast("OwnerType", type_), id_, *rest) for type_, id_, *rest in rows]
