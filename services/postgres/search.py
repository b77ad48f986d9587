"""Finds messages and summaries by words and by meaning."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib.resources import files

from sqlalchemy import text

from services.postgres.database import Database
from services.postgres.embeddings import find_table

_SQL = files("services.postgres").joinpath("search.sql").read_text()
_NO_VECTORS = "(select null::uuid as item_id, null::vector as embedding where false)"


@dataclass(frozen=True, slots=True)
class Hit:
    """A message or a summary that was found; `score` is between 0 and 1.3. `made_by` is a summary's."""

    kind: str
    id: str
    room_id: str
    seq: int
    role: str
    text: str
    happened_at: datetime
    score: float
    made_by: str | None


class Search:
    def __init__(self, database: Database, model: str) -> None:
        self._database = database
        self._model = model

    async def find(
        self,
        query: str,
        vector: Sequence[float] | None,
        *,
        room_id: str | None = None,
        user_id: str | None = None,
        limit: int = 10,
    ) -> list[Hit]:
        """Give the best hits first. Without a `vector` (the model is away) words alone decide."""
        async with self._database.transaction() as session:
            vectors = await find_table(session, self._model) if vector else None
            table = vectors.table.name if vectors else _NO_VECTORS
            rows = await session.execute(
                text(_SQL.replace("{vectors}", table)),
                {
                    "query": query,
                    "vector": str([float(part) for part in vector]) if vectors and vector else None,
                    "room_id": room_id,
                    "user_id": user_id,
                    "limit": limit,
                },
            )
            return [Hit(**row) for row in rows.mappings()]
