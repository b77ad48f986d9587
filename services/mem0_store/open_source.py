"""Keeps memories by Mem0's open-source library in our Postgres: its vector and our record are one transaction."""

import asyncio
import importlib
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Self, TypeVar

from services.domain.errors import MemoryStoreUnavailableError, ModelRefusedError, PermanentError
from services.domain.memories import NewMemory, Owner, SavedMemory
from services.domain.transcripts import shorten
from services.llm_proxy.client import ModelClient
from services.mem0_store.port import ReconcilePage
from services.mem0_store.quiet_import import before_mem0
from services.mem0_store.reconciling import Pair, mend, page_of, read_page
from services.mem0_store.saving import Vectors, VectorsNeeded, save
from services.mem0_store.transactions import Transactions
from services.postgres.database import Tenant
from services.postgres.embeddings import memory_table

# Whoever changes the text in between makes us embed again; four in a row hardly ever do.
_TRIES = 5
_EMBEDDING_TOKENS = 2_000
T = TypeVar("T")

logger = logging.getLogger(__name__)


class OpenSourceStore:
    """A memory's id in Mem0 is its brain id, so that both tables can be compared by it."""

    def __init__(self, transactions: Transactions, model: ModelClient, embedding_model: str) -> None:
        self._transactions = transactions
        self._model = model
        self._embedding_model = embedding_model

    @classmethod
    @asynccontextmanager
    async def open(cls, database_url: str, model: ModelClient, embedding_model: str) -> AsyncIterator[Self]:
        """Open a store with connections and threads of its own; Mem0 is imported when it is first needed."""
        before_mem0()
        async with Transactions.open(database_url, before=_import_mem0) as transactions:
            yield cls(transactions, model, embedding_model)

    async def save(self, owner: Owner, memory: NewMemory) -> SavedMemory:
        """Save a memory, or end it, in one transaction; a caller that is cancelled leaves all of it or nothing."""
        return await self._with_vectors(partial(save, owner=owner, memory=memory), {}, Tenant.of(owner))

    async def reconcile(self, after: str | None, *, limit: int, repair: bool = True) -> ReconcilePage:
        """Compare the next ids of both tables; what the brain says counts."""
        model = self._embedding_model
        pairs = await self._transactions.run(partial(read_page, model=model, after=after, limit=limit))
        repaired = await self._repair(pairs) if repair else 0
        return page_of(pairs, limit=limit, repaired=repaired)

    async def _repair(self, pairs: Sequence[Pair]) -> int:
        vectors = await self._embed_together([pair.text for pair in pairs if pair.text is not None])
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
        known = dict(vectors)
        for _ in range(_TRIES):
            done = await self._transactions.run(partial(work, model=self._embedding_model, vectors=known), tenant)
            if not isinstance(done, VectorsNeeded):
                return done
            known |= await self._embed([text for text in done.texts if text not in known])
            if done.dimensions is None:
                await self._make_tables(len(known[done.texts[0]]))
        raise MemoryStoreUnavailableError("others changed the memory all the time")

    async def _make_tables(self, dimensions: int) -> None:
        """Make the model's tables: its first vector tells how long they are."""
        make = partial(memory_table, model=self._embedding_model, dimensions=dimensions)
        await self._transactions.run(make)

    async def _embed_together(self, texts: Sequence[str]) -> Vectors:
        try:
            return await self._embed(texts)
        except ModelRefusedError:
            # One of them is at fault. Each by itself shows which.
            return {}

    async def _embed(self, texts: Sequence[str]) -> Vectors:
        if not texts:
            return {}
        shown = await asyncio.to_thread(lambda: [shorten(text, _EMBEDDING_TOKENS) for text in texts])
        vectors = await self._model.embed(
            model=self._embedding_model, texts=shown, input_type="passage", purpose="remember"
        )
        return dict(zip(texts, vectors, strict=True))


def _import_mem0() -> None:
    importlib.import_module("services.mem0_store.vectors")
