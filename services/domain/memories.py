"""What a memory is, who owns it, and what it is called."""

import re
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, get_args
from uuid import UUID

from services.domain.errors import InvalidInputError
from services.domain.ids import derived_id

OwnerType = Literal["user", "company"]
Kind = Literal["episodic", "semantic", "procedural"]
# Who worded it: a model, the messages themselves, a caller of ours, or a row of the host's tables.
MadeBy = Literal["model", "verbatim", "caller", "row"]
# What saving did: `earlier` is a fact older than the one that stands, which it never overwrites.
Change = Literal["created", "updated", "unchanged", "earlier", "ended"]

KINDS: tuple[Kind, ...] = get_args(Kind)
MAX_SLUG = 255
MAX_CONTENT = 20_000
_SLUG = re.compile(r"[a-z0-9][a-z0-9_.:-]*")
_ID = re.compile(r"[A-Za-z0-9_.:-]{1,200}")
_RUT = re.compile(r"[0-9]{1,9}[0-9k]")
_RUT_MARKS = re.compile(r"[.\s\u2010-\u2015-]")


@dataclass(frozen=True, slots=True)
class Owner:
    """The person or the company that memories are about. `external_id` is what the host calls it, if no UUID."""

    type: OwnerType
    id: UUID
    external_id: str | None = None

    def __str__(self) -> str:
        return f"{self.type}:{self.external_id or self.id}"


@dataclass(frozen=True, slots=True)
class NewMemory:
    """A memory as somebody asserts it. Without `content` it says that what the slug named is no longer true.

    `asserted_at` is when it was said, not when we learned it: it decides which of two is newer. `sources` are the uids
    of the messages that bear it out. With `stands` it is saved only where this version stands, or nothing, or anything.
    `epoch` is the newest one when that was read which it says: it is dropped where its owner was forgotten after it.
    """

    slug: str
    content: str | None
    asserted_at: datetime
    kind: Kind = "semantic"
    made_by: MadeBy = "caller"
    metadata: dict[str, Any] = field(default_factory=dict)
    sources: tuple[UUID, ...] = ()
    prompt_version: str | None = None
    model: str | None = None
    run_id: str | None = None
    stands: UUID | Literal["nothing", "anything"] | None = None
    epoch: int | None = None


@dataclass(frozen=True, slots=True)
class SavedMemory:
    """What became of one memory. `memory_id` is Mem0's; None where no memory stands under the slug."""

    slug: str
    change: Change
    memory_id: str | None


def owner_of(kind: OwnerType, given: str | UUID) -> Owner:
    """Name an owner: a UUID is taken as it is, any other id maps to a UUID of version 5 and is kept beside it.

    Raises `InvalidInputError` for what is no id.
    """
    if isinstance(given, UUID):
        return Owner(kind, given)
    if not _ID.fullmatch(given):
        raise InvalidInputError(f"{kind}_id", "letters, digits and _ . : -, 200 at most")
    try:
        return Owner(kind, UUID(given))
    except ValueError:
        return Owner(kind, derived_id(f"{kind}\n{given}"), given)


def brain_id(owner: Owner, slug: str) -> UUID:
    """Name a memory's brain record: the same slug of the same owner always gets the same."""
    return derived_id(f"memory\n{owner.type}\n{owner.id}\n{slug}")


def check_slug(slug: str) -> str:
    if len(slug) > MAX_SLUG or not _SLUG.fullmatch(slug):
        raise InvalidInputError("slug", f"lower-case letters, digits and _ . : -, {MAX_SLUG} at most")
    return slug


def entity_id(owner: Owner, rut: str | None) -> str:
    """Give Mem0's id of an owner: its RUT without dots, hyphens and spaces, else its own id.

    The RUT's shape is checked, its check digit is not: raises `InvalidInputError`.
    """
    if rut is None or not rut.strip():
        return str(owner.id)
    bare = _RUT_MARKS.sub("", rut).lower()
    if not _RUT.fullmatch(bare):
        raise InvalidInputError("rut", "up to nine digits and a check digit, as in 12.345.678-K")
    return bare
