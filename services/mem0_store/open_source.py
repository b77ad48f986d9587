"""Keeps memories by Mem0's open-source library in our Postgres: its vector and our record are one transaction."""

import asyncio
import importlib
import logging
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import Self, TypeVar
from uuid import UUID

from sqlalchemy.orm import Session

from services.domain.errors import MemoryStoreUnavailableError, ModelRefusedError, PermanentError, TransientError
from services.domain.memories import NewMemory, Owner, SavedMemory, brain_id
from services.domain.transcripts import shorten
from services.llm_proxy.client import ModelClient
from services.llm_proxy.passages import embed_passages
from services.mem0_store.batches import apart, begun_in, is_without_epoch, newest_epoch, save_new
from services.mem0_store.erasing import drop_deletions, erase_orphans
from services.mem0_store.model_tables import WrittenModels
from services.mem0_store.port import Outcome, ReconcilePage
from services.mem0_store.quiet_import import before_mem0
from services.mem0_store.reconciling import Pair, mend, page_of, read_page
from services.mem0_store.saving import Vectors, VectorsNeeded, save
from services.mem0_store.singly import save_singly
from services.mem0_store.transactions import Transactions
from services.postgres.database import Tenant
from services.postgres.forgetting.epochs import enter
from services.postgres.vectors.tables import memory_table

# Whoever changes the text in between makes us embed again; four in a row hardly ever do.
_TRIES = 5
_EMBEDDING_TOKENS = 2_000
T = TypeVar("T")

logger = logging.getLogger(__name__)


class OpenSourceStore:
    """A memory's id in Mem0 is its brain id, so that both tables can be compared by it.

    `embedding_model` names the current one of a database that has no vector yet.
    """

    def __init__(self, transactions: Transactions, model: ModelClient, embedding_model: str) -> None:
        self._transactions = transactions
        self._model = model
        self._first_model = embedding_model
        self._last_needed: VectorsNeeded | None = None

    @classmethod
    @asynccontextmanager
    async def open(cls, database_url: str, model: ModelClient, embedding_model: str) -> AsyncIterator[Self]:
        """Open a store with connections and threads of its own; Mem0 is imported when it is first needed."""
        before_mem0()
        async with Transactions.open(database_url, before=_import_mem0) as transactions:
            yield cls(transactions, model, embedding_model)

    async def save(self, owner: Owner, memory: NewMemory) -> SavedMemory:
        """Save a memory, or end it, in one transaction; a caller that is cancelled leaves all of it or nothing."""
        tenant = Tenant.of(owner)
        if memory.epoch is None and not memory.sources:
            # It may be embedded for long; whoever is forgotten meanwhile stays forgotten.
            memory = replace(memory, epoch=await self._transactions.run(partial(enter, owner=owner), tenant))
        return await self._with_vectors(partial(save, owner=owner, memory=memory), {}, tenant)

    async def save_many(self, said: Sequence[tuple[Owner, NewMemory]], *, are_new: bool = False) -> list[Outcome]:
        """Save what is new together, and what is known already, or cannot be saved so, each by itself."""
        if any(is_without_epoch(memory) for _, memory in said):
            # They may be embedded for long; whoever is forgotten meanwhile stays forgotten.
            try:
                said = begun_in(await self._transactions.run(newest_epoch), said)
            except MemoryStoreUnavailableError as error:
                return [error] * len(said)
        together = await self._save_together(apart(said), are_new=are_new)
        brains = [brain_id(owner, memory.slug) for owner, memory in said]
        rest = [one for one, brain in zip(said, brains, strict=True) if brain not in together]
        alone = iter(await save_singly(self, rest))
        return [together[brain] if brain in together else next(alone) for brain in brains]

    async def _save_together(self, said: Sequence[tuple[Owner, NewMemory]], *, are_new: bool) -> Mapping[UUID, Outcome]:
        if not said:
            return {}
        try:
            ahead = await self._embed_ahead(said) if are_new else {}
            return await self._with_vectors(partial(save_new, said=said), ahead, _tenant(said))
        except TransientError as error:
            return {brain_id(owner, memory.slug): error for owner, memory in said}
        except PermanentError:
            # One of them is at fault. Each by itself shows which.
            return {}

    async def _embed_ahead(self, said: Sequence[tuple[Owner, NewMemory]]) -> Vectors:
        """Embed as was needed last: what is needed by now the transaction tells."""
        if self._last_needed is None:
            return {}
        texts = tuple(dict.fromkeys(str(memory.content) for _, memory in said))
        return await self._embed_together(replace(self._last_needed, texts=texts))

    async def erase(self, owner: Owner, entities: Sequence[str]) -> int:  # noqa: ARG002  it asks for the owner by id
        def erase(session: Session) -> int:
            drop_deletions(session, owner)
            return erase_orphans(session, owner)

        return await self._transactions.run(erase)

    async def settle(self, owner: Owner, slug: str) -> None:
        await self._with_vectors(partial(mend, id_=brain_id(owner, slug)), {}, None)

    async def reconcile_one(self, memory_id: str) -> bool:  # noqa: ARG002
        """Nothing is to be done: nobody changes its table but our own transactions."""
        return False

    async def reconcile(self, after: str | None, *, limit: int, repair: bool = True) -> ReconcilePage:
        """Compare the next ids of both tables; what the brain says counts."""
        pairs = await self._transactions.run(partial(read_page, after=after, limit=limit))
        repaired = await self._repair(pairs) if repair else 0
        return page_of(pairs, limit=limit, repaired=repaired)

    async def _repair(self, pairs: Sequence[Pair]) -> int:
        models = await self._transactions.run(WrittenModels.find)
        texts = tuple(pair.text for pair in pairs if pair.text is not None)
        vectors = await self._embed_together(VectorsNeeded.of(texts, models))
        repaired = 0
        for pair in pairs:
            if pair.is_drift or pair.was_deleted:
                try:
                    repaired += await self._with_vectors(partial(mend, id_=pair.id), vectors, None)
                except PermanentError as error:
                    # It is found again, and told again, at the next reconciliation.
                    logger.warning("memory %s cannot be repaired: %s", pair.id, error)
        return repaired

    async def _with_vectors(self, work: Callable[..., T | VectorsNeeded], vectors: Vectors, tenant: Tenant | None) -> T:
        """Do `work`, and embed what it asks for, until it asks for nothing more."""
        known = {model: dict(made) for model, made in vectors.items()}
        for _ in range(_TRIES):
            done = await self._transactions.run(partial(work, vectors=known), tenant)
            if not isinstance(done, VectorsNeeded):
                return done
            self._last_needed = replace(done, texts=())
            for model, made in (await self._embed(done, known)).items():
                known.setdefault(model, {}).update(made)
            if done.dimensions is None:
                await self._make_tables(done, known)
        raise MemoryStoreUnavailableError("others changed the memory all the time")

    async def _make_tables(self, needed: VectorsNeeded, known: Vectors) -> None:
        """Make the model's tables: its first vector tells how long they are."""
        model = needed.model or self._first_model
        dimensions = len(known[model][needed.texts[0]])
        await self._transactions.run(partial(memory_table, model=model, dimensions=dimensions))

    async def _embed_together(self, needed: VectorsNeeded) -> Vectors:
        try:
            return await self._embed(needed, {})
        except ModelRefusedError:
            # One of them is at fault. Each by itself shows which.
            return {}

    async def _embed(self, needed: VectorsNeeded, known: Vectors) -> Vectors:
        """Embed what the current model has not embedded yet, by it and by those that are written beside it."""
        model = needed.model or self._first_model
        texts = [text for text in needed.texts if text not in known.get(model, {})]
        if not texts:
            return {}
        shown = await asyncio.to_thread(lambda: [shorten(text, _EMBEDDING_TOKENS) for text in texts])
        made = await embed_passages(self._model, shown, model=model, beside=needed.beside, purpose="remember")
        return {name: dict(zip(texts, vectors, strict=True)) for name, vectors in made.items()}


def _tenant(said: Sequence[tuple[Owner, NewMemory]]) -> Tenant | None:
    """Memories of one owner are written under its rights; those of several only by the system."""
    owners = {owner for owner, _ in said}
    return Tenant.of(owners.pop()) if len(owners) == 1 else None


def _import_mem0() -> None:
    importlib.import_module("services.mem0_store.vectors")
