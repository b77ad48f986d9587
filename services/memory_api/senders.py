"""Checks who speaks in a room against the credential, before anything is recorded."""

from collections.abc import Sequence
from functools import partial
from uuid import UUID

from afterturn_client.messages import Message

from services.credential import Credential
from services.domain.memories import Owner, owner_of
from services.domain.room_owner import room_owner
from services.memories.recent_messages import RecentMessages
from services.memory_api.problems import forbidden, not_found
from services.memory_api.remembered import Remembered
from services.postgres.archive.room_access import RoomAccess
from services.postgres.database import Tenant

_SECONDS = 30.0
_SECONDS_AWAY = 3_600.0


class Senders:
    """A bound credential records as itself, in rooms of its own or its company's. One that is not bound is trusted.

    A room is its owner's from the first recording on, by name where it is a person's own. What was known of rooms and
    companies counts on while Postgres is away, so that turns can still be recorded.
    """

    def __init__(self, rooms: RoomAccess, recent: RecentMessages) -> None:
        self._rooms = rooms
        self._recent = recent
        self._owners = Remembered[str, Owner](seconds=_SECONDS, seconds_away=_SECONDS_AWAY)
        self._companies = Remembered[Tenant, set[UUID]](seconds=_SECONDS, seconds_away=_SECONDS_AWAY)
        self._strangers = Remembered[tuple[UUID, UUID], bool](seconds=_SECONDS, seconds_away=_SECONDS_AWAY)

    async def checked(self, credential: Credential, room_id: str, messages: Sequence[Message]) -> list[Message]:
        """Give the messages with the person and the company that the credential stands for.

        Raises 404 for a room that is somebody else's, and 403 for a message in another's name.
        """
        tenant = credential.tenant
        if tenant is None:
            return list(messages)
        owner = await self._owner(credential, tenant, room_id, messages)
        await self._see(tenant, owner)
        said = [_named(credential, owner, message) for message in messages]
        for message in said:
            await self._check(credential, tenant, owner, message)
        if credential.person is None and credential.company is not None:
            await self._check_people(credential.company, said)
        return said

    async def _owner(self, credential: Credential, tenant: Tenant, room_id: str, messages: Sequence[Message]) -> Owner:
        own = room_owner(room_id, None, None)
        if own is not None:
            return own
        known = await self._owners.get(room_id, lambda: self._rooms.owner(room_id))
        if known is not None:
            return known
        settled = await self._settle_as_buffered(room_id) or await self._settle(credential, tenant, room_id, messages)
        self._owners.learn(room_id, settled)
        return settled

    async def _settle_as_buffered(self, room_id: str) -> Owner | None:
        """Give the room to whoever is named first in what waits for the archive, as the archive itself would."""
        waiting = await self._recent.buffered(room_id, most=10_000)
        first = next((one for one in waiting if one.user_id is not None or one.company_id is not None), None)
        owner = room_owner(room_id, first.user_id, first.company_id) if first else None
        if first is None or owner is None:
            return None
        return await self._rooms.settle(room_id, owner, user_id=first.user_id, company_id=first.company_id)

    async def _settle(self, credential: Credential, tenant: Tenant, room_id: str, messages: Sequence[Message]) -> Owner:
        user_id = credential.binding.user_id
        company_id = credential.binding.company_id or next((m.company_id for m in messages if m.company_id), None)
        new = room_owner(room_id, user_id, company_id)
        assert new is not None  # noqa: S101  a bound credential names one of the two
        if new.type == "company" and new.id not in await self._seen(tenant):
            raise forbidden("The company of a message is not the credential's.")
        return await self._rooms.settle(room_id, new, user_id=user_id, company_id=company_id)

    async def _see(self, tenant: Tenant, owner: Owner) -> None:
        if owner.type == "user" and owner.id != tenant.user_id:
            raise not_found("room")
        if owner.type == "company" and owner.id not in await self._seen(tenant):
            raise not_found("room")

    async def _check(self, credential: Credential, tenant: Tenant, owner: Owner, message: Message) -> None:
        person = owner_of("user", message.user_id) if message.user_id is not None else None
        if credential.person is not None and person is not None and person.id != credential.person.id:
            raise forbidden("The sender of a message is not the credential's person.")
        if message.company_id is None:
            return
        company = owner_of("company", message.company_id)
        if owner.type == "company" and company.id != owner.id:
            raise forbidden("The company of a message is not the room's.")
        if company.id not in await self._seen(tenant):
            raise forbidden("The company of a message is not the credential's.")

    async def _check_people(self, company: Owner, messages: Sequence[Message]) -> None:
        for person in {owner_of("user", message.user_id).id for message in messages if message.user_id is not None}:
            ask = partial(self._rooms.belongs_elsewhere, company.id, person)
            if await self._strangers.get((company.id, person), ask):
                raise forbidden("The sender of a message belongs to another company.")

    async def _seen(self, tenant: Tenant) -> set[UUID]:
        async def ask() -> set[UUID]:
            return await self._rooms.companies_seen(tenant)

        return await self._companies.get(tenant, ask) or set()


def _named(credential: Credential, owner: Owner, message: Message) -> Message:
    """Fill in the person and the company that the credential stands for."""
    missing: dict[str, str] = {}
    binding = credential.binding
    if message.user_id is None and message.role == "user" and binding.user_id is not None:
        missing["user_id"] = binding.user_id
    if message.company_id is None and owner.type == "company" and binding.company_id is not None:
        missing["company_id"] = binding.company_id
    return message.model_copy(update=missing) if missing else message
