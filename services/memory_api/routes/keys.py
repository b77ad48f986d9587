"""API keys: made, listed, revoked."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Body, Path
from pydantic import BaseModel, ConfigDict, Field

from services.credential import Credential
from services.domain.credentials import Scope, make_key
from services.memory_api.cursors import CursorParam, LimitParam, as_time, next_cursor, read_cursor, write_cursor
from services.memory_api.documented import problems
from services.memory_api.fields import Id, Moment, Text
from services.memory_api.guard import Admin, ApiParam
from services.memory_api.problems import forbidden, not_found
from services.postgres.api.keys import ApiKey, Binding

router = APIRouter(prefix="/v1/keys", tags=["Operators"])


class KeyIn(BaseModel):
    """A key for a person, a company, a person inside one company, or, bound to nobody, for all.

    `ingest` records, `read` reads, `write` changes memories, `admin` may do everything. Keys that a bound credential
    makes are bound as it is.
    """

    model_config = ConfigDict(extra="forbid")

    name: Text = Field(min_length=1, max_length=200, examples=["chat service"])
    scopes: list[Scope] = Field(min_length=1, max_length=4)
    user_id: Id | None = None
    company_id: Id | None = None
    expires_at: Moment | None = Field(None, description="Never, if left out.")


class KeyOut(BaseModel):
    """`prefix` is how the key begins; `last_used_at` is right to two hours."""

    id: UUID
    name: str
    prefix: str
    scopes: list[Scope]
    user_id: str | None
    company_id: str | None
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None


class KeyMade(KeyOut):
    key: str = Field(description="The key itself. It is told once and kept nowhere.")


class KeyPage(BaseModel):
    keys: list[KeyOut]
    next_cursor: str | None


@router.post("", status_code=201, responses=problems(413), summary="Make a key")
async def make(body: Annotated[KeyIn, Body()], api: ApiParam, caller: Admin) -> KeyMade:
    new = make_key()
    added = await api.keys.add(
        new, name=body.name, scopes=body.scopes, binding=_binding(caller, body), expires_at=body.expires_at
    )
    api.credentials.forget()
    return KeyMade(**_key(added).model_dump(), key=new.key)


@router.get("", responses=problems(), summary="List keys")
async def keys(api: ApiParam, caller: Admin, cursor: CursorParam = None, limit: LimitParam = 50) -> KeyPage:
    """List the keys, revoked ones too, the oldest first; for a bound credential, those that are bound as it is."""
    last = read_cursor(cursor, as_time, UUID)
    after = (last[0], last[1]) if last else None
    found = await api.keys.page(after=after, limit=limit, within=_within(caller))
    page = next_cursor(found, limit, lambda key: write_cursor(key.created_at, key.id))
    return KeyPage(keys=[_key(key) for key in found], next_cursor=page)


@router.delete("/{key_id}", status_code=204, responses=problems(404), summary="Revoke a key")
async def revoke(key_id: Annotated[UUID, Path()], api: ApiParam, caller: Admin) -> None:
    """Revoke a key, at once here and within ten seconds everywhere. Again, it changes nothing."""
    if await api.keys.revoke(key_id, within=_within(caller)) is None:
        raise not_found("key")
    api.credentials.forget()


def _within(caller: Credential) -> Binding | None:
    return None if caller.binding.is_nobody else caller.binding


def _binding(caller: Credential, body: KeyIn) -> Binding:
    asked = Binding(body.user_id, body.company_id)
    if caller.binding.is_nobody:
        return asked
    if asked.is_nobody or asked == caller.binding:
        return caller.binding
    raise forbidden("A bound credential makes keys that are bound as it is.")


def _key(key: ApiKey) -> KeyOut:
    return KeyOut(
        id=key.id,
        name=key.name,
        prefix=key.prefix,
        scopes=list(key.scopes),
        user_id=key.binding.user_id,
        company_id=key.binding.company_id,
        created_at=key.created_at,
        expires_at=key.expires_at,
        revoked_at=key.revoked_at,
        last_used_at=key.last_used_at,
    )
