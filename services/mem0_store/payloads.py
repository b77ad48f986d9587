"""What Mem0 is told of a memory beside its vector: all that its own readers look for, and what makes it ours."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from services.domain.memories import Kind, Owner, OwnerType, brain_id

# Names that mean something to Mem0 itself: a caller's metadata must not set them.
_MEM0S_OWN = {
    "id", "data", "hash", "role", "user_id", "agent_id", "run_id", "actor_id", "attributed_to", "expiration_date",
    "created_at", "updated_at", "text_lemmatized",
}  # fmt: skip
_OWNER_TYPES: dict[str, OwnerType] = {"user": "user", "company": "company"}
_TIMES = ("created_at", "updated_at")


@dataclass(frozen=True, slots=True)
class Remembered:
    """A memory as Mem0 is to hold it; `entity_id` is what Mem0 calls the owner."""

    owner: Owner
    entity_id: str
    slug: str
    content: str
    kind: Kind
    metadata: Mapping[str, Any]

    @property
    def id(self) -> UUID:
        return brain_id(self.owner, self.slug)

    def says(self, payload: Mapping[str, Any]) -> bool:
        """Tell whether Mem0 holds the same text, and so its vector."""
        return bool(payload.get("data") == self.content)

    def is_in(self, payload: Mapping[str, Any]) -> bool:
        """Tell whether Mem0 holds this memory as it is; what somebody has added beside it does not matter."""
        lasting = _lasting(self)
        return {name: payload.get(name) for name in lasting} == lasting and all(payload.get(name) for name in _TIMES)


def payload_of(memory: Remembered, *, created_at: str | None, now: datetime) -> dict[str, Any]:
    """Give the payload as Mem0 would write it; without `created_at` the memory is new."""
    return _lasting(memory) | {"created_at": created_at or now.isoformat(), "updated_at": now.isoformat()}


def _lasting(memory: Remembered) -> dict[str, Any]:
    return {
        **{name: value for name, value in memory.metadata.items() if name not in _MEM0S_OWN},
        "owner_type": memory.owner.type,
        "owner_id": str(memory.owner.id),
        "slug": memory.slug,
        "kind": memory.kind,
        "brain_id": str(memory.id),
        "user_id": memory.entity_id,
        "role": "user",
        "data": memory.content,
        "hash": hashlib.md5(memory.content.encode(), usedforsecurity=False).hexdigest(),
        # What Mem0 makes of a text where no spaCy model is installed.
        "text_lemmatized": memory.content,
    }


def is_ours(id_: UUID, payload: Mapping[str, Any]) -> bool:
    """Tell what we wrote from what is merely in the same table: its brain id follows from its owner and slug."""
    marked = payload.get("brain_id")
    return marked is not None and marked in (str(id_), _derived(payload))


def _derived(payload: Mapping[str, Any]) -> str | None:
    try:
        owner = Owner(_OWNER_TYPES[payload["owner_type"]], UUID(payload["owner_id"]))
        return str(brain_id(owner, str(payload["slug"])))
    except (KeyError, TypeError, ValueError, AttributeError):
        return None
