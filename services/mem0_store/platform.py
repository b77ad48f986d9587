"""Keeps memories on the hosted Mem0, one to one with their brain records in Postgres."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any
from uuid import UUID

from pydantic import TypeAdapter
from sqlalchemy.ext.asyncio import AsyncSession

from services.domain.errors import TransientError
from services.domain.memories import NewMemory, Owner, SavedMemory, brain_id, check_slug
from services.llm_proxy.client import ModelClient
from services.llm_proxy.passages import embed_passages
from services.mem0_store.platform_agreement import Wanted
from services.mem0_store.platform_client import PlatformClient
from services.mem0_store.platform_erasing import Erasing
from services.mem0_store.platform_orphans import Orphans
from services.mem0_store.platform_reconcile import Reconciliation
from services.mem0_store.platform_writing import Begun, Writing
from services.mem0_store.port import Outcome, ReconcilePage
from services.mem0_store.singly import save_singly
from services.postgres.database import Database
from services.postgres.forgetting.epochs import enter, refuse_forgotten
from services.postgres.memories import intents
from services.postgres.memories.writing import Placed, know_owner, preview, record
from services.postgres.vectors.roles import written_tables
from services.postgres.vectors.tables import Item
from services.postgres.vectors.written import WrittenVectors

_PAYLOAD = TypeAdapter(NewMemory)
_LEAVES_MEM0_ALONE = ("unchanged", "earlier")
# One vector of a text, by each model that is written.
Made = Mapping[str, Sequence[Sequence[float]]]


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
        self._vectors = WrittenVectors(database, embedding_model)
        self._writing = Writing(client, database, answer_seconds)
        self._erasing = Erasing(client, database)
        self._reconciliation = Reconciliation(client, database, self._writing, self._redrive, grace_seconds)

    async def save(self, owner: Owner, memory: NewMemory) -> SavedMemory:
        check_slug(memory.slug)
        await self._client.prepare()
        async with self._writing.alone_here(brain_id(owner, memory.slug)):
            epoch, entity, placed, begun = await self._look(owner, memory)
            memory = replace(memory, epoch=epoch)
            made = await self._embedded(memory, placed)
            if not begun and await self._stands_in_mem0(owner, memory.slug, entity, placed):
                saved = await self._save_beside(owner, memory, placed, made)
                if saved:
                    return saved
            return await self._save_in_mem0(owner, memory, made)

    async def save_many(
        self,
        said: Sequence[tuple[Owner, NewMemory]],
        *,
        are_new: bool = False,  # noqa: ARG002  each is looked up
    ) -> list[Outcome]:
        return await save_singly(self, said)

    async def erase(self, owner: Owner, entities: Sequence[str]) -> int:
        return await self._erasing.erase(owner, entities)

    async def settle(self, owner: Owner, slug: str) -> None:
        await self._reconciliation.settle(owner, slug)

    async def reconcile_one(self, memory_id: str) -> bool:
        return await self._reconciliation.one(memory_id)

    async def reconcile(self, after: str | None, *, limit: int, repair: bool = True) -> ReconcilePage:
        return await self._reconciliation.page(after, limit=limit, repair=repair)

    async def orphans(self, *, drop: bool) -> int:
        """Count what Mem0 holds of owners of whom nothing is remembered here; with `drop`, delete it."""
        orphans = Orphans(self._client, self._database)
        return await orphans.drop() if drop else len(await orphans.find())

    async def _look(self, owner: Owner, memory: NewMemory) -> tuple[int, str, Placed, bool]:
        """Give the owner's epoch, Mem0's id of them, what saving would do, and whether somebody began to write it."""
        async with self._database.transaction() as session:
            epoch = await _enter(session, owner, memory)
            entity = await session.run_sync(know_owner, owner)
            placed = await session.run_sync(preview, owner, memory)
            return epoch, entity, placed, await intents.exists(session, placed.brain_id)

    async def _embedded(self, memory: NewMemory, placed: Placed) -> Made | None:
        """Embed by the models that are written now; None where the memory has no text of its own."""
        if not _adds_text(memory, placed):
            return None
        models = await self._vectors.models()
        return await embed_passages(
            self._model, [str(memory.content)], model=models[0], beside=models[1:], purpose="remember"
        )

    async def _stands_in_mem0(self, owner: Owner, slug: str, entity: str, placed: Placed) -> bool:
        """Whether saving leaves Mem0 as it is, and Mem0 is as it should be."""
        if placed.change not in _LEAVES_MEM0_ALONE:
            return False
        if placed.standing is None or placed.memory_id is None:
            return placed.standing is None
        item = await self._client.get(placed.memory_id)
        return item is not None and _wanted(owner, slug, entity, placed).is_said_by(item)

    async def _save_beside(
        self, owner: Owner, memory: NewMemory, placed: Placed, made: Made | None
    ) -> SavedMemory | None:
        """Record what changes nothing in Mem0; None when somebody else has changed it meanwhile."""
        async with self._database.transaction() as session:
            await _enter(session, owner, memory)
            again = await session.run_sync(preview, owner, memory)
            if again != placed or await intents.exists(session, placed.brain_id):
                return None
            return await self._record(session, owner, memory, placed.memory_id, made)

    async def _save_in_mem0(self, owner: Owner, memory: NewMemory, made: Made | None) -> SavedMemory:
        brain = brain_id(owner, memory.slug)
        begun, placed = await self._writing.wait(brain, partial(self._begin, owner, memory))
        if made is None and _adds_text(memory, placed):
            await self._writing.give_back(begun)
            raise TransientError("the memory changed while it was saved")

        async def conclude(session: AsyncSession, memory_id: str | None) -> SavedMemory:
            return await self._record(session, owner, memory, memory_id, made, begun.wanted)

        return await self._writing.write(begun, conclude)

    async def _begin(
        self, owner: Owner, memory: NewMemory, token: UUID, session: AsyncSession
    ) -> tuple[Begun, Placed] | None:
        await _enter(session, owner, memory)
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
        made: Made | None,
        wanted: Wanted | None = None,
    ) -> SavedMemory:
        await session.run_sync(written_tables)  # ahead of the memory's own lock
        await _enter(session, owner, memory)
        placed = await session.run_sync(lambda sync: record(sync, owner, memory, memory_id=memory_id))
        if wanted and (placed.standing.content if placed.standing else None) != wanted.content:
            raise TransientError("the memory changed while it was saved")
        if made is not None and _adds_text(memory, placed):
            await self._keep(session, Item(placed.version_id, "memory"), made)
        return SavedMemory(memory.slug, placed.change, memory_id if placed.standing else None)

    async def _keep(self, session: AsyncSession, item: Item, made: Made) -> None:
        vectors = {model: {item: vector} for model, [vector] in made.items()}
        written = await self._vectors.hold(session)
        if await self._vectors.save_in(session, written, [item], vectors) is not None:
            raise TransientError("the embedding model changed while the memory was saved")

    async def _redrive(self, owner: Owner, payload: dict[str, Any]) -> None:
        """Save what somebody began to save and did not finish."""
        await self.save(owner, _PAYLOAD.validate_python(payload))


async def _enter(session: AsyncSession, owner: Owner, memory: NewMemory) -> int:
    """Give the owner's epoch; raise `ForgottenError` where the owner or a source was forgotten since this began."""
    epoch = await session.run_sync(enter, owner, memory.epoch)
    await session.run_sync(refuse_forgotten, memory)
    return epoch


def _adds_text(memory: NewMemory, placed: Placed) -> bool:
    return memory.content is not None and placed.change != "unchanged"


def _wanted(owner: Owner, slug: str, entity: str, placed: Placed) -> Wanted:
    standing = placed.standing
    return Wanted(owner, slug, entity, standing.content, standing.kind) if standing else Wanted(owner, slug, entity)
