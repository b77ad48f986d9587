"""Makes the hosted Mem0 hold exactly what stands of one brain record. Its lease must be held."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol
from uuid import UUID

from services.domain.errors import MemoryStoreUnavailableError
from services.domain.memories import Kind, Owner, brain_id
from services.mem0_store.platform_client import Item, PlatformClient
from services.mem0_store.platform_errors import OutcomeUnknownError


@dataclass(frozen=True, slots=True)
class Wanted:
    """What Mem0 is to hold of one brain record: one memory that says `content`, or none."""

    owner: Owner
    slug: str
    entity_id: str
    content: str | None = None
    kind: Kind = "semantic"

    @property
    def brain_id(self) -> UUID:
        return brain_id(self.owner, self.slug)

    @property
    def metadata(self) -> dict[str, str]:
        return {**marks(self.owner), "brain_id": str(self.brain_id), "slug": self.slug, "kind": self.kind}

    @property
    def texts(self) -> tuple[str, ...]:
        """The texts that say it: the second one is for where an equal text of another memory stands already."""
        if self.content is None:
            return ()
        return self.content, f"{self.content}\n[{self.owner.type}:{self.owner.id}:{self.slug}]"

    def is_said_by(self, item: Item) -> bool:
        return self.marks(item) and item.text.strip() in {text.strip() for text in self.texts}

    def marks(self, item: Item) -> bool:
        """Whether a memory in Mem0 is of this record: what a filter answers is not believed, for it may be deleted."""
        ours = self.metadata
        return all(item.metadata.get(name) == ours[name] for name in ("brain_id", "scope", "owner_id"))


def marks(owner: Owner) -> dict[str, str]:
    """What tells an owner's memories from those of another who has the same RUT."""
    return {"scope": owner.type, "owner_id": str(owner.id)}


def filters(entity_id: str, metadata: Mapping[str, str]) -> dict[str, Any]:
    return {"AND": [{"user_id": entity_id}, *({"metadata": {name: value}} for name, value in metadata.items())]}


class Claims(Protocol):
    """Who owns which memory in Mem0, as Postgres knows it."""

    async def claim(self, memory_id: str) -> bool:
        """Link a memory to the record whose lease is held; False when it is another's."""

    async def taken(self, memory_ids: Collection[str]) -> set[str]:
        """Give those that are another's."""


class Agreement:
    def __init__(self, client: PlatformClient, claims: Claims, wanted: Wanted) -> None:
        self._client = client
        self._claims = claims
        self._wanted = wanted

    async def reach(self, known: Sequence[str], *, doubt: bool) -> str | None:
        """Give the id of the one memory that says what is wanted; None when there is to be none.

        `known` are ids that were this record's. In `doubt`, when somebody was cut off at work, Mem0 is looked through.
        """
        if self._wanted.content is None:
            await self._remove(known, doubt=doubt)
            return None
        kept = await self._updated(known, doubt=doubt)
        if kept and not doubt:
            return kept
        if not known and not doubt:
            return await self._add()
        found = [memory_id for memory_id in await self.find() if memory_id != kept]
        if kept is None:
            kept = await self._adopted(found) or await self._add()
        for memory_id in (*known, *found):
            if memory_id != kept:
                await self._client.delete(memory_id)
        return kept

    async def find(self) -> list[str]:
        """Look this record's memories up, oldest first."""
        wanted = self._wanted
        metadata = {**marks(wanted.owner), "brain_id": str(wanted.brain_id)}
        items = await self._client.list(filters(wanted.entity_id, metadata))
        ours = sorted((item for item in items if wanted.marks(item)), key=lambda item: (str(item.created_at), item.id))
        others = await self._claims.taken([item.id for item in ours])
        return [item.id for item in ours if item.id not in others]

    async def _remove(self, known: Sequence[str], *, doubt: bool) -> None:
        for memory_id in {*known, *(await self.find() if doubt else ())}:
            await self._client.delete(memory_id)

    async def _updated(self, known: Sequence[str], *, doubt: bool) -> str | None:
        for memory_id in known:
            if doubt and await self._is_elsewhere(memory_id):
                await self._client.delete(memory_id)
            elif await self._update(memory_id):
                return memory_id
        return None

    async def _is_elsewhere(self, memory_id: str) -> bool:
        """Whether a memory stands under what Mem0 called its owner before the owner's RUT was known."""
        item = await self._client.get(memory_id)
        return item is not None and item.entity_id not in (None, self._wanted.entity_id)

    async def _update(self, memory_id: str) -> bool:
        return await self._client.update(memory_id, self._wanted.texts[0], metadata=self._wanted.metadata)

    async def _adopted(self, found: Sequence[str]) -> str | None:
        for memory_id in found:
            if await self._claims.claim(memory_id) and await self._update(memory_id):
                return memory_id
        return None

    async def _add(self) -> str:
        for text in self._wanted.texts:
            memory_id = await self._added(text)
            if memory_id and await self._claims.claim(memory_id):
                return memory_id
        raise MemoryStoreUnavailableError("Mem0 keeps no memory of its own for this text")

    async def _added(self, text: str) -> str | None:
        """Look, where Mem0 may have added it without saying so: adding once more would double it."""
        try:
            return await self._client.add(text, entity_id=self._wanted.entity_id, metadata=self._wanted.metadata)
        except OutcomeUnknownError:
            if adopted := await self._adopted(await self.find()):
                return adopted
            raise
