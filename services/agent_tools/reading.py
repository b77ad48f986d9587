"""The tools that read."""

from services.agent_tools.answers import (
    ContextGathered,
    FoundMemories,
    FoundMemory,
    MemorySource,
    MessageSource,
    SummarySource,
)
from services.agent_tools.arguments import GetContext, SearchMemory
from services.agent_tools.whose import Memory, check_scope, company_of, owners_of, person_of
from services.credential import Credential
from services.domain.errors import InvalidInputError
from services.domain.memories import KINDS, Kind, Owner
from services.memories.context import Context
from services.postgres.search.searching import Hit


async def search_user_memory(memory: Memory, caller: Credential, asked: SearchMemory) -> FoundMemories:
    check_scope(caller, "read")
    return await _search(memory, caller, person_of(caller), asked)


async def search_company_memory(memory: Memory, caller: Credential, asked: SearchMemory) -> FoundMemories:
    check_scope(caller, "read")
    return await _search(memory, caller, await company_of(memory, caller), asked)


async def get_context(memory: Memory, caller: Credential, asked: GetContext) -> ContextGathered:
    """Gather a room's summary, the memories that matter there and its last messages.

    Besides those of the room's owner, the memories of the credential's person and company count.
    """
    check_scope(caller, "read")
    room_id = asked.room_id or _own_room(caller)
    await memory.access.room_or_new(caller, room_id)
    owners = await owners_of(memory, caller)
    built = await memory.context.build(
        room_id, query=asked.query, token_budget=asked.token_budget, owners=owners, tenant=caller.tenant
    )
    return _gathered(built)


async def _search(memory: Memory, caller: Credential, owner: Owner, asked: SearchMemory) -> FoundMemories:
    found = await memory.searching.find(
        asked.query, tenant=caller.tenant, owner=owner, kinds=asked.kinds, limit=asked.limit
    )
    return FoundMemories(memories=[_memory(hit) for hit in found.hits], by_meaning=found.by_meaning)


def _own_room(caller: Credential) -> str:
    if caller.binding.user_id is None:
        raise InvalidInputError("room_id", "a room, as this credential is bound to no person with a room of their own")
    return f"user:{caller.binding.user_id}"


def _memory(hit: Hit) -> FoundMemory:
    kind: Kind = next(kind for kind in KINDS if kind == hit.kind)
    return FoundMemory(
        slug=hit.slug or "",
        kind=kind,
        text=hit.text,
        asserted_at=hit.happened_at,
        made_by=hit.made_by,
        score=hit.score,
    )


def _gathered(built: Context) -> ContextGathered:
    summary = built.summary
    return ContextGathered(
        room_id=built.room_id,
        markdown=built.markdown,
        tokens=built.tokens,
        summary=SummarySource(covers_from=summary.covers_from, covers_to=summary.covers_to) if summary else None,
        memories=[
            MemorySource(about=one.owner.type, slug=one.slug, kind=one.kind, asserted_at=one.asserted_at)
            for one in built.memories
        ],
        messages=[
            MessageSource(id=one.message.id, seq=one.message.seq, role=one.message.role) for one in built.messages
        ],
        includes_buffered=built.includes_buffered,
    )
