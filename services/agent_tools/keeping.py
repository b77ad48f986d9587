"""The tools of the section store. An agent writes where no application's value can be overwritten."""

import json

from pydantic import JsonValue

from services.agent_tools.answers import FoundFact, FoundFacts, KeptBy, KeptValue, KeptValues, ShownValue, ValueKept
from services.agent_tools.arguments import MOST_CONTENT, GetValue, KeepValue, SearchFacts
from services.agent_tools.whose import AgentSections, Memory, check_scope, person_of
from services.credential import Credential
from services.domain.errors import ChangedMeanwhileError, PermanentError, VersionConflictError
from services.domain.sections import AGENT_NAMESPACE, Section

# So much of each fact that was found; `get_fact` shows four times as much.
FOUND_SHOWN = 1_000


async def search_facts(memory: Memory, caller: Credential, asked: SearchFacts) -> FoundFacts:
    check_scope(caller, "read")
    sections = _sections(memory)
    found = await sections.store.search_facts(
        person_of(caller), asked.query, namespace=sections.namespaces, limit=asked.limit
    )
    return FoundFacts(
        facts=[
            FoundFact(**_shown(one.value, one.namespace, FOUND_SHOWN).model_dump(), key=one.key, score=one.score)
            for one in found
        ]
    )


async def get_fact(memory: Memory, caller: Credential, asked: GetValue) -> KeptValues:
    return await _get(memory, caller, "facts", asked)


async def get_preference(memory: Memory, caller: Credential, asked: GetValue) -> KeptValues:
    return await _get(memory, caller, "user_preferences", asked)


async def store_fact(memory: Memory, caller: Credential, asked: KeepValue) -> ValueKept:
    return await _keep(memory, caller, "facts", asked)


async def set_preference(memory: Memory, caller: Credential, asked: KeepValue) -> ValueKept:
    return await _keep(memory, caller, "user_preferences", asked)


async def _get(memory: Memory, caller: Credential, section: Section, asked: GetValue) -> KeptValues:
    check_scope(caller, "read")
    sections, owner = _sections(memory), person_of(caller)
    values = []
    for namespace in sections.namespaces:
        found = await sections.store.get(owner, section, asked.key, namespace=namespace)
        if found is not None:
            values.append(KeptValue(**_shown(found.value, namespace).model_dump(), kept_at=found.updated_at))
    return KeptValues(key=asked.key, values=values)


async def _keep(memory: Memory, caller: Credential, section: Section, asked: KeepValue) -> ValueKept:
    check_scope(caller, "write")
    store, owner = _sections(memory).store, person_of(caller)
    standing = await store.get(owner, section, asked.key, namespace=AGENT_NAMESPACE)
    if standing is not None and standing.value == asked.value:
        return ValueKept(key=asked.key, outcome="unchanged")
    version = standing.version if standing else 0
    try:
        await store.set(owner, section, asked.key, asked.value, namespace=AGENT_NAMESPACE, if_version=version)
    except VersionConflictError:
        raise ChangedMeanwhileError("It was changed meanwhile: read it, then decide again.") from None
    return ValueKept(key=asked.key, outcome="replaced" if standing else "created")


def _sections(memory: Memory) -> AgentSections:
    if memory.sections is None:
        raise PermanentError("Facts and preferences are not kept for agents here.")
    return memory.sections


def _shown(value: JsonValue, namespace: str, most: int = MOST_CONTENT) -> ShownValue:
    """Say a value as text: an application's may be any JSON, and more than a model should read at once."""
    said = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    kept_by: KeptBy = "agent" if namespace == AGENT_NAMESPACE else "application"
    return ShownValue(value=said[:most], is_cut=len(said) > most, kept_by=kept_by)
