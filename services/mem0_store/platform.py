"""Keeps memories on the hosted Mem0, one to one with their brain records in Postgres."""

from collections.abc import Sequence
from functools import partial
from typing import Any
from uuid import UUID

from pydantic import TypeAdapter
from sqlalchemy.ext.asyncio import AsyncSession

from services.domain.errors import TransientError
from services.domain.memories import NewMemory, Owner, SavedMemory, brain_id, check_slug
from services.llm_proxy.client import ModelClient
from services.mem0_store.platform_agreement import Wanted
from services.mem0_store.platform_client import PlatformClient
from services.mem0_store.platform_reconcile import Reconciliation
from services.mem0_store.platform_writing import Begun, Writing
from services.mem0_store.port import ReconcilePage
from services.postgres import intents
from services.postgres.database import Database
from services.postgres.embeddings import Item, keep
from services.postgres.memory_writing import Placed, know_owner, preview, record

_PAYLOAD = TypeAdapter(NewMemory)
_LEAVES_MEM0_ALONE = ("unchanged", "earlier")
Vector = Sequence[float]


class PlatformStore:
    """Writes down what it is about to do, does it in Mem0, and records it: whoever is cut off, the next one looks."""

    def __init__(
        self,
        client: PlatformClient,
        database: Database,
        model: ModelClient,
        *,
        embedding_model: str,
        answer_seconds: float,
        grace_seconds: float,
    ) -> None:
        self._client = client
        self._database = database
        self._model = model
        self._embedding_model = embedding_model
        self._writing = Writing(client, database, answer_seconds)
        self._reconciliation = Reconciliation(client, database, self._writing, self._redrive, grace_seconds)

    async def save(self, owner: Owner, memory: NewMemory) -> SavedMemory:
        check_slug(memory.slug)
        await self._client.prepare()
        async with self._writing.alone_here(brain_id(owner, memory.slug)):
            entity, placed, begun = await self._look(owner, memory)
            vector = await self._vector(memory, placed)
            if not begun and await self._stands_in_mem0(owner, memory.slug, entity, placed):
                saved = await self._save_beside(owner, memory, placed, vector)
                if saved:
                    return saved
            return await self._save_in_mem0(owner, memory, vector)

    async def reconcile(self, after: str | None, *, limit: int, repair: bool = True) -> ReconcilePage:
        return await self._reconciliation.page(after, limit=limit, repair=repair)

    async def _look(self, owner: Owner, memory: NewMemory) -> tuple[str, Placed, bool]:
        """Give Mem0's id of the owner, what saving would do, and whether somebody began to write this memory."""
        async with self._database.transaction() as session:
            entity = await session.run_sync(know_owner, owner)
            placed = await session.run_sync(preview, owner, memory)
            return entity, placed, await intents.exists(session, placed.brain_id)

    async def _vector(self, memory: NewMemory, placed: Placed) -> Vector | None:
        if not _adds_text(memory, placed):
            return None
        [vector] = await self._model.embed(
            model=self._embedding_model, texts=[str(memory.content)], input_type="passage", purpose="remember"
        )
        return vector

    async def _stands_in_mem0(self, owner: Owner, slug: str, entity: str, placed: Placed) -> bool:
        """Whether saving leaves Mem0 as it is, and Mem0 is as it should be."""
        if placed.change not in _LEAVES_MEM0_ALONE:
            return False
        if placed.standing is None or placed.memory_id is None:
            return placed.standing is None
        item = await self._client.get(placed.memory_id)
        return item is not None and _wanted(owner, slug, entity, placed).is_said_by(item)

    async def _save_beside(
        self, owner: Owner, memory: NewMemory, placed: Placed, vector: Vector | None
    ) -> SavedMemory | None:
        """Record what changes nothing in Mem0; None when somebody else has changed it meanwhile."""
        async with self._database.transaction() as session:
            again = await session.run_sync(preview, owner, memory)
            if again != placed or await intents.exists(session, placed.brain_id):
                return None
            return await self._record(session, owner, memory, placed.memory_id, vector)

    async def _save_in_mem0(self, owner: Owner, memory: NewMemory, vector: Vector | None) -> SavedMemory:
        brain = brain_id(owner, memory.slug)
        begun, placed = await self._writing.wait(brain, partial(self._begin, owner, memory))
        if vector is None and _adds_text(memory, placed):
            await self._writing.give_back(begun)
            raise TransientError("the memory changed while it was saved")

        async def conclude(session: AsyncSession, memory_id: str | None) -> SavedMemory:
            return await self._record(session, owner, memory, memory_id, vector, begun.wanted)

        return await self._writing.write(begun, conclude)

    async def _begin(
        self, owner: Owner, memory: NewMemory, token: UUID, session: AsyncSession
    ) -> tuple[Begun, Placed] | None:
        entity = await session.run_sync(know_owner, owner)
        payload = _PAYLOAD.dump_python(memory, mode="json")
        asked = intents.Asked(token, entity, self._writing.lease_seconds, payload)
        lease = await intents.take(session, owner, memory.slug, asked)
        if lease is None:
            return None
        placed = await session.run_sync(preview, owner, memory)
        known = dict.fromkeys(each for each in (placed.memory_id, lease.memory_id) if each)
        return Begun(lease, _wanted(owner, memory.slug, entity, placed), tuple(known)), placed

    async def _record(
        self,
        session: AsyncSession,
        owner: Owner,
        memory: NewMemory,
        memory_id: str | None,
        vector: Vector | None,
        wanted: Wanted | None = None,
    ) -> SavedMemory:
        placed = await session.run_sync(lambda sync: record(sync, owner, memory, memory_id=memory_id))
        if wanted and (placed.standing.content if placed.standing else None) != wanted.content:
            raise TransientError("the memory changed while it was saved")
        if vector is not None and _adds_text(memory, placed):
            await keep(session, self._embedding_model, {Item(placed.version_id, "memory"): vector})
        return SavedMemory(memory.slug, placed.change, memory_id if placed.standing else None)

    async def _redrive(self, owner: Owner, payload: dict[str, Any]) -> None:
        """Save what somebody began to save and did not finish."""
        await self.save(owner, _PAYLOAD.validate_python(payload))


def _adds_text(memory: NewMemory, placed: Placed) -> bool:
    return memory.content is not None and placed.change != "unchanged"


def _wanted(owner: Owner, slug: str, entity: str, placed: Placed) -> Wanted:
    standing = placed.standing
    return Wanted(owner, slug, entity, standing.content, standing.kind) if standing else Wanted(owner, slug, entity)
