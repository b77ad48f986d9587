"""What a credential sees. What it does not see is not there: the answer is the same."""

from uuid import UUID

from services.credential import Credential
from services.domain.errors import NotAllowedError, NotFoundError
from services.domain.memories import Owner
from services.domain.room_owner import room_owner
from services.postgres.archive.room_access import RoomAccess
from services.postgres.archive.room_reading import RoomLine, RoomReading
from services.room_buffer.buffer import RoomBuffer


class Access:
    def __init__(self, reading: RoomReading, buffer: RoomBuffer, rooms: RoomAccess) -> None:
        self._reading = reading
        self._buffer = buffer
        self._rooms = rooms

    async def room(self, credential: Credential, room_id: str) -> RoomLine | None:
        """Give a room that is archived, None for one that has messages in Redis only.

        Raise `NotFoundError` for all others.
        """
        line = await self._reading.find(room_id, tenant=credential.tenant)
        if line is None and self.owns_by_name(credential, room_id):
            peek = await self._buffer.peek(room_id)
            if peek.length or peek.claimed:
                return None
        if line is None:
            raise NotFoundError("room")
        return line

    async def room_or_new(self, credential: Credential, room_id: str) -> None:
        """Raise `NotFoundError` unless the credential sees the room, or would if it began."""
        if not self.owns_by_name(credential, room_id):
            await self.room(credential, room_id)

    async def spoken_for(self, credential: Credential) -> UUID | None:
        """Give the company that the credential speaks for; None is none."""
        return await self._rooms.spoken_for(credential.tenant) if credential.tenant else None

    async def owners(self, credential: Credential) -> set[UUID] | None:
        """Give the people and companies whose rooms the credential sees; None is everybody's."""
        tenant = credential.tenant
        if tenant is None:
            return None
        seen = await self._rooms.companies_seen(tenant)
        return seen | {tenant.user_id} if tenant.user_id else seen

    async def written(self, credential: Credential) -> list[Owner] | None:
        """Give the people and companies whose memories the credential may write; None is everybody's."""
        tenant = credential.tenant
        if tenant is None:
            return None
        spoken_for = await self._rooms.spoken_for(tenant)
        owners = [Owner("user", tenant.user_id)] if tenant.user_id else []
        return [*owners, Owner("company", spoken_for)] if spoken_for else owners

    def owns_by_name(self, credential: Credential, room_id: str) -> bool:
        """Whether the room is the person's own by its name, or the credential sees all."""
        tenant = credential.tenant
        own = room_owner(room_id, None, None)
        return tenant is None or (own is not None and own.id == tenant.user_id)

    async def owner(self, credential: Credential, owner: Owner, *, to_write: bool = False) -> None:
        """Raise `NotFoundError` unless the credential sees the owner's memories.

        Raise `NotAllowedError` where it sees them but may not write.
        """
        tenant = credential.tenant
        if tenant is None:
            return
        if owner.type == "user":
            if owner.id != tenant.user_id:
                raise NotFoundError("user")
            return
        if owner.id not in await self._rooms.companies_seen(tenant):
            raise NotFoundError("company")
        if to_write and owner.id != await self.spoken_for(credential):
            raise NotAllowedError("This credential does not speak for the company.")
