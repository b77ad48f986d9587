"""Facts: what an application stores under a key and finds again by words and by meaning."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from uuid import UUID

from pydantic import JsonValue

from services.domain.errors import InvalidInputError, TransientError
from services.domain.languages import language_of
from services.domain.memories import Owner
from services.domain.sections import Name, value_id
from services.postgres.database import Database, Tenant
from services.postgres.sections.facts import Unembedded, drop_other_vectors, find_facts, keep_vectors, unembedded
from services.postgres.sections.values import Put, Record
from services.section_store.embedding import FactEmbedding, body_of
from services.section_store.packing import Packing, unpack
from services.section_store.results import FoundFact

MOST_FOUND = 100
_FIRST = UUID(int=0)
# Asks a model for the vectors of texts, in their order: None for one of which there is none, or for all.
_Embed = Callable[[str, Sequence[str]], Awaitable[Sequence[list[float] | None] | None]]

logger = logging.getLogger(__name__)


class Facts:
    """Without an `embedding` facts are searched by their words alone."""

    def __init__(self, database: Database, packing: Packing, embedding: FactEmbedding | None) -> None:
        self._database = database
        self._packing = packing
        self._embedding = embedding

    def put(self, name: Name, value: JsonValue) -> Put:
        body = body_of(name, value)
        return Put(name, self._packing.pack(value), body, language_of(body, "english"))

    async def embed(self, owner: Owner, puts: list[Put], written: Mapping[UUID, Record | None]) -> None:
        """Keep vectors of what was just written, as far as models answer now; `embed_missing` does the rest."""
        if self._embedding is None:
            return
        try:
            models = tuple(await self._embedding.written.models())
            facts = []
            for put in puts:
                record = written.get(value_id(owner, put.name))
                if record is not None and put.body is not None:
                    facts.append(Unembedded(value_id(owner, put.name), record.version, put.body, models))
            by = partial(self._embedding.try_to_embed, input_type="passage", tenant=str(owner))
            await self._embed(facts, Tenant.of(owner), by)
        except TransientError as error:
            # The facts are kept: that is what the caller asked for.
            logger.info("facts are not embedded now: %s", type(error).__name__)

    async def embed_missing(self, after: UUID | None, limit: int) -> tuple[int, UUID | None]:
        """Embed a page of facts that lack a vector; answer how many vectors were kept, and where to go on.

        A fact that a model refuses stays as it is, and keeps no other one from being embedded.
        """
        if self._embedding is None:
            return 0, None
        async with self._database.transaction() as session:
            models = await self._embedding.written.models_in(session)
            facts = await unembedded(session, models, after=after or _FIRST, limit=limit)
        kept = await self._embed(facts, None, self._embedding.embed_each)
        return kept, facts[-1].id if len(facts) == limit else None

    async def drop_others(self, limit: int) -> int:
        """Delete vectors of models that are written no more; answer how many."""
        if self._embedding is None:
            return 0
        async with self._database.transaction() as session:
            # No model gets its role before this has ended.
            return await drop_other_vectors(session, await self._embedding.written.models_in(session), limit=limit)

    async def search(
        self, owner: Owner, query: str, *, namespaces: Sequence[str] | None, limit: int
    ) -> list[FoundFact]:
        if not 1 <= limit <= MOST_FOUND:
            raise InvalidInputError("limit", f"1 to {MOST_FOUND}")
        words = query.replace("\0", " ")
        model, vectors = "", None
        if self._embedding is not None and words.strip():
            model = await self._embedding.written.current()
            vectors = await self._embedding.try_to_embed(model, [words], "query", tenant=str(owner))
        async with self._database.transaction(Tenant.of(owner)) as session:
            hits = await find_facts(
                session,
                owner,
                words,
                vectors[0] if vectors else None,
                model=model,
                namespaces=namespaces,
                limit=limit,
            )
        return [FoundFact(hit.key, hit.namespace, unpack(hit.packed), hit.version, hit.score) for hit in hits]

    async def _embed(self, facts: list[Unembedded], tenant: Tenant | None, by: _Embed) -> int:
        lacking = {model: [fact for fact in facts if model in fact.models] for fact in facts for model in fact.models}
        made = await asyncio.gather(*(_vectors(model, lacking[model], by) for model in lacking))
        async with self._database.transaction(tenant) as session:
            kept = [await keep_vectors(session, model, vectors) for model, vectors in zip(lacking, made, strict=True)]
        return sum(kept)


async def _vectors(model: str, facts: list[Unembedded], by: _Embed) -> dict[Unembedded, list[float]]:
    vectors = await by(model, [fact.body for fact in facts])
    made = zip(facts, vectors or [], strict=vectors is not None)
    return {fact: vector for fact, vector in made if vector is not None}
