"""The tools that write. A model chooses neither an owner nor more than its credential allows."""

from datetime import UTC, datetime
from typing import Literal, cast
from uuid import UUID

from services.agent_tools.answers import MemoryEnded, MemorySaved
from services.agent_tools.arguments import DeleteMemory, SaveMemory
from services.agent_tools.whose import Memory, check_scope, company_of, person_of
from services.credential import Credential
from services.domain.errors import (
    AfterturnError,
    ChangedMeanwhileError,
    InvalidInputError,
    NotAllowedError,
    NotFoundError,
    PermanentError,
    TransientError,
)
from services.domain.memories import Change, NewMemory, Owner
from services.memories.saving import MemoryFailure
from services.postgres.memories.brain import MemoryRecord

_Stands = UUID | Literal["nothing"] | None


async def save_user_memory(memory: Memory, caller: Credential, asked: SaveMemory) -> MemorySaved:
    """Save what is true of the person, or what happened: whoever may record what they say may do that.

    How to behave takes the `write` scope, to replace as well as to add: it steers every model that reads it.
    """
    check_scope(caller, "write", "ingest")
    owner = person_of(caller)
    stands: _Stands = None
    if not caller.may("write"):
        stands = await _what_may_be_replaced(memory, caller, owner, asked)
    said = NewMemory(
        slug=asked.slug, content=asked.content, kind=asked.kind, asserted_at=datetime.now(UTC), stands=stands
    )
    return MemorySaved(slug=asked.slug, outcome=await _save(memory, owner, said))


async def save_company_memory(memory: Memory, caller: Credential, asked: SaveMemory) -> MemorySaved:
    check_scope(caller, "write")
    owner = await company_of(memory, caller, to_write=True)
    said = NewMemory(slug=asked.slug, content=asked.content, kind=asked.kind, asserted_at=datetime.now(UTC))
    return MemorySaved(slug=asked.slug, outcome=await _save(memory, owner, said))


async def delete_memory(memory: Memory, caller: Credential, asked: DeleteMemory) -> MemoryEnded:
    check_scope(caller, "write")
    owner = person_of(caller) if asked.about == "user" else await company_of(memory, caller, to_write=True)
    if await _standing(memory, caller, owner, asked.slug) is None:
        raise NotFoundError("memory")
    await _save(memory, owner, NewMemory(slug=asked.slug, content=None, asserted_at=datetime.now(UTC)))
    return MemoryEnded(slug=asked.slug, outcome="ended")


async def _what_may_be_replaced(memory: Memory, caller: Credential, owner: Owner, asked: SaveMemory) -> _Stands:
    standing = await _standing(memory, caller, owner, asked.slug)
    if "procedural" in (asked.kind, standing.kind if standing else None):
        raise NotAllowedError("Procedural memories take a credential with the scope `write`.")
    return standing.version_id if standing else "nothing"


async def _standing(memory: Memory, caller: Credential, owner: Owner, slug: str) -> MemoryRecord | None:
    read = memory.brain.get_by_user_and_slug if owner.type == "user" else memory.brain.get_by_company_and_slug
    return await read(owner.id, slug, tenant=caller.tenant)


async def _save(memory: Memory, owner: Owner, said: NewMemory) -> Change:
    if not memory.memories.is_configured:
        raise PermanentError("Memories are not kept here: nothing was saved.")
    result = await memory.memories.save(owner, [said])
    if result.errors:
        raise _failed(result.errors[0])
    return cast("Change", result.results[0].outcome)


def _failed(failure: MemoryFailure) -> AfterturnError:
    if failure.changed:
        return ChangedMeanwhileError("The memory was changed meanwhile: search for it, then decide again.")
    if failure.field:
        return InvalidInputError(failure.field, failure.reason.partition("takes ")[2] or failure.reason)
    if failure.transient:
        return TransientError("the memory was not saved", retry_after=failure.retry_after)
    return PermanentError(failure.reason)
