"""Whose memory is it? Decided by code from who said it, never by a model."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from services.domain.extraction.guards import suspicious
from services.domain.memories import Owner, owner_of
from services.domain.messages import ArchivedMessage
from services.domain.words import fold

_OF_US = re.compile(
    r"\b(?:we|us|our|ours|nosotr[oa]s|nuestr[oa]s?)\b"
    r"|\b(?:the|my|this|la|mi|esta)\s(?:company|firm|business|organi[sz]ation|empresa|sociedad|compania|pyme)\b"
    r"|\b(?:vendemos|ofrecemos|facturamos|fabricamos|importamos|exportamos|despachamos|atendemos|usamos|trabajamos|abrimos"
    r"|cerramos|tenemos|somos|estamos|pagamos|hacemos|decidimos|acordamos|contratamos)\b"
)
# Where these stand, `we` are a family.
_AT_HOME = re.compile(
    r"\b(?:kids?|children|son|daughter|wife|husband|family|home|holidays?|vacations?|wedding|baby|parents|girlfriend|boyfriend"
    r"|hij[oa]s?|espos[oa]|marido|mujer|familia|casa|vacaciones|boda|bebe|papas|padres|pololo|polola|novi[oa])\b"
)


@dataclass(frozen=True, slots=True)
class Rights:
    """The company that the room belongs to, if it belongs to one, and who may speak for it."""

    company: Owner | None = None
    may_speak: frozenset[UUID] = frozenset()

    def speaks_for(self, owner: Owner, person: Owner) -> bool:
        """Say whether a person may change what an owner's memories say."""
        return owner == person or (owner == self.company and person.id in self.may_speak)


def choose_owner(rights: Rights, person: Owner, said: str) -> Owner:
    """Give the company where `said` is about it and this person may speak for it; else the person."""
    if rights.company is None or not rights.speaks_for(rights.company, person) or suspicious(said):
        return person
    plain = fold(said)
    return rights.company if _OF_US.search(plain) and not _AT_HOME.search(plain) else person


def persons(messages: Sequence[ArchivedMessage]) -> list[Owner | None]:
    """Give for each message the person whose turn it is in: who spoke, or who is answered; None where unknown."""
    found: list[Owner | None] = []
    known: dict[str, Owner] = {}
    asking: str | None = None
    for message in messages:
        if message.role == "user":
            asking = message.user_id
        whose = asking or message.user_id if message.role != "user" else message.user_id
        if whose and whose not in known:
            known[whose] = owner_of("user", whose)
        found.append(known[whose] if whose else None)
    return found
