"""Whose a room is, and for whom somebody may speak: asked before anything is recorded for a tenant."""

from typing import cast
from uuid import UUID

from sqlalchemy import select, text
from sqlalchemy.dialects.postgresql import insert

from services.domain.memories import Owner, OwnerType
from services.postgres.database import Database, Tenant
from services.postgres.tables.archive import Room
from services.postgres.tables.people import CompanyMember

_SEEN = text("select afterturn_companies()")
_SPOKEN_FOR = text("select afterturn_spoken_for()")


class RoomAccess:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def owner(self, room_id: str) -> Owner | None:
        """Say whose a room is, whoever asks; None where that is open."""
        async with self._database.transaction() as session:
            wanted = select(Room.owner_type, Room.owner_id).where(Room.id == room_id)
            row = (await session.execute(wanted)).one_or_none()
        return _owner(row.owner_type, row.owner_id) if row else None

    async def settle(self, room_id: str, owner: Owner, *, user_id: str | None, company_id: str | None) -> Owner:
        """Make the room `owner`'s unless it is somebody's; say whose it is now.

        Nobody else can come between this and the first message, which may wait in Redis.
        """
        whose = {"user_id": user_id, "company_id": company_id, "owner_type": owner.type, "owner_id": owner.id}
        async with self._database.transaction() as session:
            await session.execute(
                insert(Room)
                .values(id=room_id, **whose)
                .on_conflict_do_update(index_elements=["id"], set_=whose, where=Room.owner_id.is_(None))
            )
            row = (await session.execute(select(Room.owner_type, Room.owner_id).where(Room.id == room_id))).one()
        return _owner(row.owner_type, row.owner_id) or owner

    async def companies_seen(self, tenant: Tenant) -> set[UUID]:
        async with self._database.transaction(tenant) as session:
            return set(await session.scalar(_SEEN) or ())

    async def spoken_for(self, tenant: Tenant) -> UUID | None:
        """Give the company whose memories the tenant may write."""
        async with self._database.transaction(tenant) as session:
            found: UUID | None = await session.scalar(_SPOKEN_FOR)
        return found

    async def belongs_elsewhere(self, company: UUID, person: UUID) -> bool:
        """Whether the person belongs to other companies only. A customer belongs to none."""
        async with self._database.transaction() as session:
            of = set(await session.scalars(select(CompanyMember.company_id).where(CompanyMember.user_id == person)))
        return bool(of) and company not in of


def _owner(kind: str | None, id_: UUID | None) -> Owner | None:
    return Owner(cast("OwnerType", kind), id_) if kind and id_ else None
