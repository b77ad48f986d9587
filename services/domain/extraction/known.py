"""The memories that are known already, as a model is shown them, and which of them a statement is about."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from services.domain.extraction.owners import Rights
from services.domain.extraction.statements import Statement
from services.domain.extraction.topics import same_topic, topic
from services.domain.memories import Kind, Owner

_SPEAKER = re.compile(r"^user(?: \S+)?: ")


@dataclass(frozen=True, slots=True)
class KnownMemory:
    owner: Owner
    slug: str
    kind: Kind
    content: str

    def topic(self) -> frozenset[str]:
        return topic(_SPEAKER.sub("", self.content))


def known_about(statement: Statement, known: Sequence[KnownMemory]) -> KnownMemory | None:
    """Give the known memory that a statement changes or says again.

    That is the one of the same slot; else the most alike of those about the same, where the statement says that
    something changed; else one about exactly the same.
    """
    if statement.slot:
        slots = {statement.slot, f"user_{statement.slot}", f"company_{statement.slot}"}
        return next((one for one in known if one.slug in slots), None)
    words = topic(statement.text)
    if statement.changes:
        alike = [one for one in known if same_topic(words, one.topic())]
        return max(alike, key=lambda one: len(words & one.topic()) / len(words | one.topic()), default=None)
    same = (one for one in known if one.kind == statement.kind != "episodic" and one.topic() == words)
    return next(same, None)


def freeze(known: Iterable[KnownMemory], rights: Rights) -> dict[str, Any]:
    """Give what is written down beside an answer, so that it is always read the same way."""
    return {
        "known": [
            {"owner": _frozen(one.owner), "slug": one.slug, "kind": one.kind, "content": one.content} for one in known
        ],
        "company": _frozen(rights.company) if rights.company else None,
        "may_speak": sorted(str(person) for person in rights.may_speak),
    }


def thaw(shown: dict[str, Any]) -> tuple[list[KnownMemory], Rights]:
    known = [
        KnownMemory(_thawed(one["owner"]), one["slug"], one["kind"], one["content"]) for one in shown.get("known", ())
    ]
    company = shown.get("company")
    may_speak = frozenset(UUID(person) for person in shown.get("may_speak", ()))
    return known, Rights(_thawed(company) if company else None, may_speak)


def _frozen(owner: Owner) -> dict[str, Any]:
    return {"type": owner.type, "id": str(owner.id), "external_id": owner.external_id}


def _thawed(owner: dict[str, Any]) -> Owner:
    return Owner(owner["type"], UUID(owner["id"]), owner["external_id"])
