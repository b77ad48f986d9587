"""What the section store's routes take and answer."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Annotated, Literal, TypeVar

from fastapi import Depends, Path, Query
from pydantic import BaseModel, ConfigDict, Field, JsonValue

from services.credential import Credential
from services.domain.errors import VersionConflictError
from services.domain.memories import Owner, owner_of
from services.domain.sections import MAX_KEY, Section
from services.memory_api.api import Api
from services.memory_api.fields import Id
from services.memory_api.guard import ApiParam, Reader, Writer
from services.memory_api.problems import ProblemError, wrong_field
from services.section_store.results import KeyOf, Page, Value

ResultT = TypeVar("ResultT")

NAMESPACE_PATTERN = r"^[a-z0-9][a-z0-9_.-]{0,63}$"
# How often a write to whatever stands is tried while others write it.
_TRIES = 10

NamespaceParam = Annotated[
    str, Query(pattern=NAMESPACE_PATTERN, description="Whose names these are: give each plugin its own.")
]
PrefixParam = Annotated[str, Query(max_length=MAX_KEY, description="Only keys that begin with it.")]
KeyPath = Annotated[
    str, Path(min_length=1, max_length=MAX_KEY, description="Printable characters; a `/` may be sent as `%2F`.")
]
_UserParam = Annotated[Id | None, Query(description="The person, where the credential is bound to nobody.")]
_CompanyParam = Annotated[Id | None, Query(description="The company, where the credential is bound to nobody.")]


class ValueIn(BaseModel):
    model_config = ConfigDict(extra="forbid")

    value: JsonValue = Field(description="Any JSON.", examples=["dark"])


class TemporaryIn(ValueIn):
    ttl_seconds: float = Field(ge=0.001, le=30 * 86_400, description="How long it is kept.")


class ValueOut(BaseModel):
    """A value under its key. `version` is its ETag, 0 where only Redis keeps it, until `expires_at`."""

    section: Section
    namespace: str
    key: str
    value: JsonValue
    version: int
    updated_at: datetime
    expires_at: datetime | None


class KeyOut(BaseModel):
    key: str
    version: int
    raw_bytes: int = Field(description="Of JSON, before compression.")
    stored_bytes: int
    updated_at: datetime


class KeyPage(BaseModel):
    keys: list[KeyOut]
    next_cursor: str | None


def value_out(value: Value) -> ValueOut:
    return ValueOut(
        section=value.section,
        namespace=value.namespace,
        key=value.key,
        value=value.value,
        version=value.version,
        updated_at=value.updated_at,
        expires_at=value.expires_at,
    )


def key_page(page: Page[KeyOf], write_cursor: Callable[[str], str]) -> KeyPage:
    keys = [
        KeyOut(
            key=one.key,
            version=one.version,
            raw_bytes=one.raw_size,
            stored_bytes=one.stored_size,
            updated_at=one.updated_at,
        )
        for one in page.items
    ]
    return KeyPage(keys=keys, next_cursor=write_cursor(page.cursor) if page.cursor is not None else None)


async def written(
    wanted: int | Literal["anything"] | None,
    read: Callable[[], Awaitable[Value | None]],
    write: Callable[[int | None], Awaitable[ResultT]],
) -> ResultT:
    """Write over the version that is wanted; `anything` is whatever stands, if something does."""
    if wanted != "anything":
        return await write(wanted)
    for _ in range(_TRIES):
        standing = await read()
        if standing is None:
            raise ProblemError(412, "Nothing stands there.")
        try:
            return await write(standing.version)
        except VersionConflictError:
            continue
    raise ProblemError(412, "Others write it all the time.")


async def _owner(api: Api, caller: Credential, user_id: str | None, company_id: str | None, *, to_write: bool) -> Owner:
    """Give whose session or moment it is: the one who is named, else the one who asks."""
    if user_id is not None and company_id is not None:
        raise wrong_field("company_id", "nothing where there is a user_id")
    if user_id is not None:
        owner = owner_of("user", user_id)
    elif company_id is not None:
        owner = owner_of("company", company_id)
    elif (own := caller.person or caller.company) is not None:
        owner = own
    else:
        raise wrong_field("user_id", "a person, or a company_id, as this credential is bound to nobody")
    await api.access.owner(caller, owner, to_write=to_write)
    return owner


async def _seen(api: ApiParam, caller: Reader, user_id: _UserParam = None, company_id: _CompanyParam = None) -> Owner:
    return await _owner(api, caller, user_id, company_id, to_write=False)


async def _written(
    api: ApiParam, caller: Writer, user_id: _UserParam = None, company_id: _CompanyParam = None
) -> Owner:
    return await _owner(api, caller, user_id, company_id, to_write=True)


SeenOwn = Annotated[Owner, Depends(_seen)]
WrittenOwn = Annotated[Owner, Depends(_written)]
