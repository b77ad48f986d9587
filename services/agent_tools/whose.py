"""Whose memories a credential's tools are about, and what it may do with them."""

from contextlib import suppress
from dataclasses import dataclass

from services.access import Access
from services.credential import Credential
from services.domain.credentials import Scope
from services.domain.errors import NotAllowedError, NotFoundError
from services.domain.memories import Owner
from services.memories.context import ContextBuilder
from services.memories.saving import MemoryService
from services.memories.searching import Searching
from services.postgres.memories.brain import Brain
from services.section_store.store import SectionStore


@dataclass(frozen=True, slots=True)
class AgentSections:
    """The section store as agents see it: they read `namespaces`, the first of which counts first."""

    store: SectionStore
    namespaces: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Memory:
    """What the tools work with; whoever opened it closes it. Without `sections` there are no tools of them."""

    searching: Searching
    context: ContextBuilder
    memories: MemoryService
    brain: Brain
    access: Access
    sections: AgentSections | None = None


def check_scope(caller: Credential, *scopes: Scope) -> None:
    """Raise `NotAllowedError` unless the credential has one of the scopes."""
    if not any(caller.may(scope) for scope in scopes):
        raise NotAllowedError(f"This credential lacks the scope `{scopes[-1]}`.")


def person_of(caller: Credential) -> Owner:
    """Give the credential's person, whose own memories it sees and may write."""
    if caller.person is None:
        raise NotAllowedError(
            "This credential is bound to no person, so that it does not say whose memories are meant."
        )
    return caller.person


async def company_of(memory: Memory, caller: Credential, *, to_write: bool = False) -> Owner:
    """Give the credential's company, or the only one that its person belongs to."""
    company = caller.company or await _only_company(memory, caller)
    try:
        await memory.access.owner(caller, company, to_write=to_write)
    except NotFoundError:
        # Who asks named no company: that there is none would be a riddle.
        raise NotAllowedError("This credential's person does not belong to the company that it is bound to.") from None
    return company


async def owners_of(memory: Memory, caller: Credential) -> list[Owner]:
    """Give the credential's person, and its company where the person belongs to it."""
    owners = [caller.person] if caller.person else []
    if caller.company:
        with suppress(NotFoundError):
            await memory.access.owner(caller, caller.company)
            owners.append(caller.company)
    return owners


async def _only_company(memory: Memory, caller: Credential) -> Owner:
    if caller.person is None:
        raise NotAllowedError("This credential is bound to no company, so that it does not say which one is meant.")
    seen = await memory.access.owners(caller) or set()
    match sorted(seen - {caller.person.id}):
        case [only]:
            return Owner("company", only)
        case []:
            raise NotAllowedError("This credential is bound to no company, and its person belongs to none.")
    raise NotAllowedError("The person belongs to several companies: a credential is needed that names one of them.")
