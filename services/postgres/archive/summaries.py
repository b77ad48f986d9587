"""Keeps chunk summaries and the rolling summary of each room."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import Row, func, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from services.domain.ids import summary_id
from services.domain.languages import language_of
from services.postgres.archive.chunks import hold_chunk
from services.postgres.database import Database, Tenant
from services.postgres.tables.archive import SummaryRow

MadeBy = Literal["model", "extractive"]
Kind = Literal["chunk", "rolling"]

# The last rolling summary, and the summaries of the chunks after it: none, but where rolling ones were dropped.
_SO_FAR = text("""
with newest as (
    select * from summaries where room_id = :room_id and kind = 'rolling' and chunk_id <> :besides
    order by covers_to desc, updated_at desc limit 1
), rolled as (
    select coalesce((select covers_to from newest), 0) as seq
)
select kind, text, made_by, covers_from, covers_to, prompt_version, model, updated_at from newest
union all
select kind, text, made_by, covers_from, covers_to, prompt_version, model, updated_at from summaries, rolled
where room_id = :room_id and kind = 'chunk' and chunk_id <> :besides and covers_from > seq and covers_to > seq
order by covers_from, updated_at
""")


@dataclass(frozen=True, slots=True)
class Summary:
    """A text about messages `covers_from` to `covers_to`, with what made it."""

    text: str
    made_by: MadeBy
    covers_from: int
    covers_to: int
    prompt_version: str
    model: str


@dataclass(frozen=True, slots=True)
class SoFar:
    """A room's last rolling summary, and the summaries of chunks that it does not tell of, in their order."""

    rolling: Summary | None = None
    parts: Sequence[Summary] = ()


class Summaries:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def rolling(self, room_id: str, *, tenant: Tenant | None = None) -> Summary | None:
        """Give the room's rolling summary: the newest."""
        newest = (
            select(SummaryRow)
            .where(SummaryRow.room_id == room_id, SummaryRow.kind == "rolling")
            .order_by(SummaryRow.covers_to.desc(), SummaryRow.updated_at.desc())
            .limit(1)
        )
        async with self._database.transaction(tenant) as session:
            row = await session.scalar(newest)
        return _summary(row) if row else None

    async def parts(self, room_id: str, *, tenant: Tenant | None = None) -> list[Summary]:
        """Give the chunk summaries in the room's order."""
        async with self._database.transaction(tenant) as session:
            rows = await session.scalars(
                select(SummaryRow)
                .where(SummaryRow.room_id == room_id, SummaryRow.kind == "chunk")
                .order_by(SummaryRow.covers_from, SummaryRow.updated_at)
            )
            return [_summary(row) for row in rows]

    async def covered(self, room_id: str, *, from_seq: int, tenant: Tenant | None = None) -> list[range]:
        """Give which messages from a number on stand in a chunk's summary."""
        wanted = select(SummaryRow.covers_from, SummaryRow.covers_to).where(
            SummaryRow.room_id == room_id, SummaryRow.kind == "chunk", SummaryRow.covers_to >= from_seq
        )
        async with self._database.transaction(tenant) as session:
            return [range(first, last + 1) for first, last in await session.execute(wanted)]


async def so_far(session: AsyncSession, room_id: str, *, besides: UUID) -> SoFar:
    """Give what the summary of a chunk is added to: what stands `besides` that chunk's own."""
    rows = (await session.execute(_SO_FAR, {"room_id": room_id, "besides": besides})).all()
    rolling = [_summary(row) for row in rows if row.kind == "rolling"]
    return SoFar(rolling[0] if rolling else None, [_summary(row) for row in rows if row.kind == "chunk"])


async def keep(
    session: AsyncSession, room_id: str, chunk: UUID, summaries: Mapping[Kind, Summary], *, run_id: str
) -> None:
    """Keep one summary for each chunk, kind, prompt version and model; keeping it again replaces its text."""
    await hold_chunk(session, chunk)
    statement = insert(SummaryRow)
    replaced = ("text", "made_by", "covers_from", "covers_to", "language", "run_id")
    renewed = {name: statement.excluded[name] for name in replaced} | {"updated_at": func.now()}
    rows = [
        {
            "id": summary_id(chunk, kind, one.prompt_version, one.model),
            "room_id": room_id,
            "chunk_id": chunk,
            "kind": kind,
            "language": language_of(one.text),
            "run_id": run_id,
            **asdict(one),
        }
        for kind, one in summaries.items()
    ]
    await session.execute(statement.on_conflict_do_update(index_elements=["id"], set_=renewed), rows)


def _summary(row: SummaryRow | Row[Any]) -> Summary:
    made_by: MadeBy = "model" if row.made_by == "model" else "extractive"
    return Summary(row.text, made_by, row.covers_from, row.covers_to, row.prompt_version, row.model)
