"""Keeps the vectors of messages and summaries, of each model that is written."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from services.postgres.database import Database
from services.postgres.vectors.roles import Written, current_table, tables_written_now, written_tables
from services.postgres.vectors.tables import Item, VectorTable, among, keep_in, make_table

Vectors = Mapping[Item, Sequence[float]]


@dataclass(frozen=True, slots=True)
class Unembedded:
    """`items` have no vector of the current `model` yet, which is needed first.

    Vectors of the models `beside` it are welcome, and not waited for.
    """

    model: str
    beside: tuple[str, ...]
    items: tuple[Item, ...]


class WrittenVectors:
    """`first` names the current model of a database that has no vector yet."""

    def __init__(self, database: Database, first: str) -> None:
        self._database = database
        self._first = first

    async def current(self) -> str:
        async with self._database.transaction() as session:
            found = await session.run_sync(current_table)
        return found.model if found else self._first

    async def models(self) -> list[str]:
        """Name the models that are written, the current one first."""
        async with self._database.transaction() as session:
            return await self.models_in(session)

    async def models_in(self, session: AsyncSession) -> list[str]:
        """Do as `models`, and let nobody change it until the transaction ends."""
        written = await session.run_sync(written_tables)
        return [written.current.model if written.current else self._first, *(one.model for one in written.beside)]

    async def hold(self, session: AsyncSession) -> Written:
        """Give what is written, and let nobody change that until the transaction ends.

        The transaction holds no lock yet that a writer of vectors waits for.
        """
        return await session.run_sync(written_tables)

    async def missing_in(self, session: AsyncSession, items: Sequence[Item]) -> Unembedded:
        """Say which items have no vector yet, and by which models to embed: these may be others soon."""
        return await self._unembedded(session, await session.run_sync(tables_written_now), items)

    async def save_in(
        self, session: AsyncSession, written: Written, items: Sequence[Item], made: Mapping[str, Vectors]
    ) -> Unembedded | None:
        """Keep what was made for these items, by model, in what is held; or keep nothing, and say what is needed."""
        if written.current is None and (vectors := made.get(self._first)):
            await make_table(session, self._first, len(next(iter(vectors.values()))))
            # Another model may have come first.
            written = await self.hold(session)
        fresh = made.get(written.current.model, {}) if written.current else {}
        unembedded = await self._unembedded(session, written, [item for item in items if item not in fresh])
        if unembedded.items:
            return unembedded
        if written.current:
            await _keep(session, written.current, written.beside, made)
        return None

    async def _unembedded(self, session: AsyncSession, written: Written, items: Sequence[Item]) -> Unembedded:
        if written.current is None:
            return Unembedded(self._first, (), tuple(items))
        have = await _with_vectors(session, written.current, items)
        lacking = tuple(item for item in items if item.id not in have)
        return Unembedded(written.current.model, tuple(table.model for table in written.beside), lacking)


async def _with_vectors(session: AsyncSession, current: VectorTable, items: Sequence[Item]) -> set[UUID]:
    """Give those that have a vector."""
    if not items:
        return set()
    column = current.table.c.item_id
    return set(await session.scalars(select(column).where(among(column, [item.id for item in items]))))


async def _keep(
    session: AsyncSession, current: VectorTable, beside: Sequence[VectorTable], made: Mapping[str, Vectors]
) -> None:
    if vectors := made.get(current.model):
        await keep_in(session, current, vectors)
    for table in beside:
        # One that answers other lengths than before is told of by `Reembed`; live work goes on.
        if (vectors := made.get(table.model)) and table.fits(vectors):
            await keep_in(session, table, vectors)
