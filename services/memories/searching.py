"""Searches by words and by meaning: a question is embedded by the very model whose vectors it is held against."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from services.domain.errors import ModelRefusedError, ModelUnavailableError
from services.domain.memories import Owner
from services.llm_proxy.client import ModelClient
from services.postgres.database import Database, Tenant
from services.postgres.search.searching import HIT_KINDS, Hit, Search
from services.postgres.vectors.written import WrittenVectors


@dataclass(frozen=True, slots=True)
class Found:
    """The best hits first; not `by_meaning` where words alone decided, because the model did not answer."""

    hits: list[Hit]
    by_meaning: bool


class Searching:
    """Asks the current model, and searches in its vectors: a switch in between changes nothing for who has begun."""

    def __init__(self, database: Database, client: ModelClient, vectors: WrittenVectors) -> None:
        self._database = database
        self._client = client
        self._vectors = vectors

    async def find(  # noqa: PLR0913  each narrows the search, and is named
        self,
        query: str,
        *,
        tenant: Tenant | None = None,
        owner: Owner | None = None,
        room_id: str | None = None,
        kinds: Iterable[str] = HIT_KINDS,
        since: datetime | None = None,
        until: datetime | None = None,
        as_of: datetime | None = None,
        limit: int = 10,
    ) -> Found:
        """Search what the `tenant` may see; without one, everything. The other words are those of `Search.find`."""
        model = await self._vectors.current()
        search = Search(self._database, model)
        question = await search.read(query, tenant=tenant, owner=owner, room_id=room_id, now=as_of)
        vector = await self._embed(model, question.words, tenant)
        hits = await search.find(
            question,
            vector,
            tenant=tenant,
            owner=owner,
            room_id=room_id,
            kinds=kinds,
            since=since,
            until=until,
            as_of=as_of,
            limit=limit,
        )
        return Found(hits, by_meaning=vector is not None)

    async def _embed(self, model: str, words: str, tenant: Tenant | None) -> list[float] | None:
        whose = tenant and (tenant.company_id or tenant.user_id)
        try:
            [vector] = await self._client.embed(
                model=model,
                texts=[words],
                input_type="query",
                tenant=str(whose) if whose else None,
                purpose="search",
            )
        except (ModelUnavailableError, ModelRefusedError):
            return None
        return vector
