"""Keeps chunk summaries and the rolling summary of each room."""

from dataclasses import dataclass
from typing import Literal
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert

from services.domain.ids import summary_id
from services.domain.languages import language_of
from services.postgres.database import Database
from services.postgres.tables import SummaryRow

MadeBy = Literal["model", "extractive"]
Kind = Literal["chunk", "rolling"]


@dataclass(frozen=True, slots=True)
class Summary:
    """A text about messages `covers_from` to `covers_to`, with what made it."""

    text: str
    made_by: MadeBy
    covers_from: int
    covers_to: int
    prompt_version: str
    model: str


class Summaries:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def save(self, room_id: str, chunk: UUID, kind: Kind, summary: Summary, *, run_id: str) -> UUID:
        """Keep one summary for each chunk, kind, prompt version and model; saving again replaces its text."""
        key = summary_id(chunk, kind, summary.prompt_version, summary.model)
        content = {
            "text": summary.text,
            "made_by": summary.made_by,
            "covers_from": summary.covers_from,
            "covers_to": summary.covers_to,
            "language": language_of(summary.text),
            "run_id": run_id,
        }
        async with self._database.transaction() as session:
            await session.execute(
                insert(SummaryRow)
                .values(
                    id=key,
                    room_id=room_id,
                    chunk_id=chunk,
                    kind=kind,
                    prompt_version=summary.prompt_version,
                    model=summary.model,
                    **content,
                )
                .on_conflict_do_update(index_elements=["id"], set_={**content, "updated_at": func.now()})
            )
        return key

    async def rolling(self, room_id: str, *, besides: UUID | None = None) -> Summary | None:
        """Give the room's rolling summary: the newest, `besides` that of one chunk."""
        newest = (
            select(SummaryRow)
            .where(
                SummaryRow.room_id == room_id,
                SummaryRow.kind == "rolling",
                SummaryRow.chunk_id.is_distinct_from(besides),
            )
            .order_by(SummaryRow.covers_to.desc(), SummaryRow.updated_at.desc())
            .limit(1)
        )
        async with self._database.transaction() as session:
            row = await session.scalar(newest)
        return _summary(row) if row else None

    async def parts(self, room_id: str) -> list[Summary]:
        """Give the chunk summaries in the room's order."""
        async with self._database.transaction() as session:
            rows = await session.scalars(
                select(SummaryRow)
                .where(SummaryRow.room_id == room_id, SummaryRow.kind == "chunk")
                .order_by(SummaryRow.covers_from, SummaryRow.updated_at)
            )
            return [_summary(row) for row in rows]


def _summary(row: SummaryRow) -> Summary:
    made_by: MadeBy = "model" if row.made_by == "model" else "extractive"
    return Summary(row.text, made_by, row.covers_from, row.covers_to, row.prompt_version, row.model)
