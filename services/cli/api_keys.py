"""What the `keys` commands do."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from afterturn_client.rooms import check_id

from services.cli.exit_codes import OK, CommandFailedError
from services.cli.output import Output
from services.cli.reaching import opened
from services.domain.credentials import Scope, make_key
from services.domain.errors import InvalidInputError
from services.domain.memories import owner_of
from services.postgres.api.keys import ApiKey, ApiKeys, Binding
from services.postgres.archive.room_access import RoomAccess
from services.postgres.database import Database, Tenant


async def create(
    output: Output,
    name: str,
    *,
    scopes: Sequence[Scope],
    user_id: str | None,
    company_id: str | None,
    expires_at: datetime | None,
) -> int:
    for field, value in (("--user", user_id), ("--company", company_id)):
        if value is not None:
            check_id(field, value)
    new = make_key()
    async with opened("postgres") as resources:
        added = await ApiKeys(resources.database).add(
            new, name=name, scopes=scopes, binding=Binding(user_id, company_id), expires_at=expires_at
        )
        belongs = await _belongs(resources.database, user_id, company_id)
    output.emit({**_key(added), "key": new.key})
    output.print(new.key)
    output.note("keep it: it is told once and stored nowhere")
    if not belongs:
        output.note(
            f"{user_id} does not belong to {company_id} (table company_members): until then the key sees nothing of it"
        )
    return OK


async def _belongs(database: Database, user_id: str | None, company_id: str | None) -> bool:
    """Whether the key sees the company that it is bound to; the host says who belongs to which."""
    if user_id is None or company_id is None:
        return True
    tenant = Tenant(user_id=owner_of("user", user_id).id, company_id=owner_of("company", company_id).id)
    return owner_of("company", company_id).id in await RoomAccess(database).companies_seen(tenant)


async def list_all(output: Output, *, limit: int) -> int:
    async with opened("postgres") as resources:
        found = await ApiKeys(resources.database).page(limit=limit)
    output.emit({"keys": [_key(key) for key in found]})
    output.table(
        ("id", "name", "begins", "scopes", "user", "company", "expires", "revoked", "last used"),
        (
            (k.id, k.name, k.prefix, ", ".join(k.scopes), *_bound(k), k.expires_at, k.revoked_at, k.last_used_at)
            for k in found
        ),
    )
    if not found:
        output.note("there is no key: the memory API listens on loopback only, for whoever is on this machine")
    return OK


async def revoke(output: Output, key: str) -> int:
    try:
        id_ = UUID(key)
    except ValueError:
        raise InvalidInputError("ID", "the id of a key, as `afterturn keys list` shows it") from None
    async with opened("postgres") as resources:
        revoked = await ApiKeys(resources.database).revoke(id_)
    if revoked is None:
        raise CommandFailedError(f"no key has the id {id_}")
    output.emit(_key(revoked))
    output.print(f"{revoked.prefix} ({revoked.name}) is revoked")
    return OK


def _bound(key: ApiKey) -> tuple[str | None, str | None]:
    return key.binding.user_id, key.binding.company_id


def _key(key: ApiKey) -> dict[str, object]:
    user_id, company_id = _bound(key)
    return {
        "id": str(key.id),
        "name": key.name,
        "prefix": key.prefix,
        "scopes": list(key.scopes),
        "user_id": user_id,
        "company_id": company_id,
        "created_at": key.created_at,
        "expires_at": key.expires_at,
        "revoked_at": key.revoked_at,
        "last_used_at": key.last_used_at,
    }
