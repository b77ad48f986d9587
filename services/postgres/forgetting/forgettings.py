"""The runs that forget an owner: how the owner is found, and what was erased where."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, delete, func, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from services.domain.errors import PermanentError
from services.domain.forgetting import ids_of
from services.domain.memories import Owner, OwnerType
from services.postgres.database import Database
from services.postgres.forgetting.epochs import begin
from services.postgres.tables.forgetting import ForgettingRow, MemoryToSettleRow, OwnerEpochRow
from services.postgres.tables.memories import Mem0IntentRow

_ROW = ForgettingRow
_ADD = text(
    "update forgettings set erased = erased || jsonb_build_object(cast(:name as text), "
    "coalesce((erased ->> :name)::bigint, 0) + :count) where run_id = :run"
)
_PLACES = {"user": "profiles", "company": "companies"}


@dataclass(frozen=True, slots=True)
class Forgetting:
    """A run, and what its owner is called: `ids` in messages, `entities` in Mem0, `email` in keys of buffers.

    `forgotten_at` is when the new epoch began: what was written later is of somebody who came back.
    """

    run_id: str
    owner: Owner
    ids: tuple[str, ...]
    entities: tuple[str, ...]
    email: str | None
    epoch: int | None
    forgotten_at: datetime | None
    claimed_before: datetime | None

    @property
    def since(self) -> datetime:
        if self.forgotten_at is None:
            raise PermanentError("nothing is erased before the new epoch has begun; start the forgetting again")
        return self.forgotten_at


@dataclass(frozen=True, slots=True)
class ForgetReceipt:
    """What a run erased where, as counts by place; `own_row` is what became of the owner's own row."""

    run_id: str
    owner_type: OwnerType
    owner_id: UUID
    epoch: int | None
    erased: dict[str, int]
    own_row: str | None
    started_at: datetime
    forgotten_at: datetime | None
    finished_at: datetime | None


class Forgettings:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def open(self, run_id: str, owner: Owner) -> Forgetting:
        """Write down that a run begins, with how the owner is found; again, answer what stands."""
        async with self._database.transaction() as session:
            if await session.get(_ROW, run_id) is None:
                names = await _names(session, owner)
                values = {"run_id": run_id, "owner_type": owner.type, "owner_id": owner.id, "names": names}
                await session.execute(insert(_ROW).values(values).on_conflict_do_nothing())
        return await self.get(run_id)

    async def get(self, run_id: str) -> Forgetting:
        async with self._database.transaction() as session:
            row = await session.get(_ROW, run_id)
            if row is None:
                raise _unknown()
            wanted = select(OwnerEpochRow.claimed_before).where(
                OwnerEpochRow.owner_type == row.owner_type,
                OwnerEpochRow.owner_id == row.owner_id,
                OwnerEpochRow.epoch == row.epoch,
            )
            claimed_before = await session.scalar(wanted)
        names: dict[str, Any] = row.names
        owner_type: OwnerType = "company" if row.owner_type == "company" else "user"
        owner = Owner(owner_type, row.owner_id, names.get("external_id"))
        return Forgetting(
            run_id=run_id,
            owner=owner,
            ids=ids_of(owner, owner.external_id),
            entities=tuple(names.get("entities", ())),
            email=names.get("email"),
            epoch=row.epoch,
            forgotten_at=row.forgotten_at,
            claimed_before=claimed_before,
        )

    async def begin_epoch(self, run: Forgetting, claimed_before: datetime) -> None:
        """Begin the owner's new epoch, once a run."""
        if run.epoch is not None:
            return
        async with self._database.transaction() as session:
            number = await begin(session, run.owner, claimed_before=claimed_before)
            changes = {"epoch": number, "forgotten_at": func.clock_timestamp()}
            await session.execute(update(_ROW).where(_ROW.run_id == run.run_id, _ROW.epoch.is_(None)).values(changes))

    async def count(self, run_id: str, erased: Mapping[str, int]) -> None:
        async with self._database.transaction() as session:
            await count(session, run_id, erased)

    async def finish(self, run_id: str) -> ForgetReceipt:
        """Drop what the run needed to know of the owner, and answer its receipt."""
        async with self._database.transaction() as session:
            finished = func.coalesce(_ROW.finished_at, func.clock_timestamp())
            await session.execute(update(_ROW).where(_ROW.run_id == run_id).values(finished_at=finished))
            row = await session.get(_ROW, run_id, populate_existing=True)
            if row is None:
                raise _unknown()
            # Those of runs that were terminated, too.
            of_owner = (_ROW.owner_type == row.owner_type, _ROW.owner_id == row.owner_id)
            await session.execute(update(_ROW).where(*of_owner).values(names={}))
            await session.execute(delete(MemoryToSettleRow).where(MemoryToSettleRow.run_id == run_id))
        return _receipt(row)

    async def every(self) -> list[ForgetReceipt]:
        """Give all receipts, in the order in which the forgettings began."""
        async with self._database.transaction() as session:
            return [_receipt(row) for row in await session.scalars(select(_ROW).order_by(_ROW.started_at, _ROW.run_id))]

    async def newest(self, owner: Owner) -> ForgetReceipt | None:
        """Give the receipt of the owner's newest forgetting, as far as it has come."""
        wanted = (
            select(_ROW)
            .where(_ROW.owner_type == owner.type, _ROW.owner_id == owner.id)
            .order_by(_ROW.started_at.desc())
            .limit(1)
        )
        async with self._database.transaction() as session:
            row = await session.scalar(wanted)
        return _receipt(row) if row else None


async def count(session: AsyncSession, run_id: str, erased: Mapping[str, int]) -> None:
    """Count what is erased in the transaction that erases it."""
    for name, number in erased.items():
        if number:
            await session.execute(_ADD, {"run": run_id, "name": name, "count": number})


async def note_own_row(session: AsyncSession, run_id: str, what: str) -> None:
    """A repeated step finds no row any more: what the first one did counts."""
    changes = {"own_row": func.coalesce(_ROW.own_row, what)}
    await session.execute(update(_ROW).where(_ROW.run_id == run_id).values(changes))


async def _names(session: AsyncSession, owner: Owner) -> dict[str, Any]:
    found = await _own_row(session, owner)
    entity = await session.scalar(select(func.afterturn_entity_of(owner.type, owner.id)))
    intents = select(Mem0IntentRow.entity_id).where(
        Mem0IntentRow.owner_type == owner.type, Mem0IntentRow.owner_id == owner.id
    )
    entities = {str(owner.id), entity, *await session.scalars(intents)}
    external_id, email = owner.external_id or (found and found.external_id), found and found.email
    # A run that was cut off may have deleted already what told this.
    before = select(_ROW.names).where(_ROW.owner_type == owner.type, _ROW.owner_id == owner.id)
    for names in await session.scalars(before):
        entities |= set(names.get("entities", ()))
        external_id, email = external_id or names.get("external_id"), email or names.get("email")
    return {"external_id": external_id, "email": email, "entities": sorted(one for one in entities if one)}


async def _own_row(session: AsyncSession, owner: Owner) -> Row[Any] | None:
    """The host's own tables may have no such column."""
    place = _PLACES[owner.type]
    wanted = text(
        f"select external_id, to_jsonb({place}) ->> 'email' as email from {place} where id = :id"  # noqa: S608  ours
    )
    return (await session.execute(wanted, {"id": owner.id})).one_or_none()


def _unknown() -> PermanentError:
    """Waiting would not bring the row back: Postgres was restored to a time before this run."""
    return PermanentError("Postgres knows nothing of this forgetting (any more); start it again")


def _receipt(row: ForgettingRow) -> ForgetReceipt:
    return ForgetReceipt(
        run_id=row.run_id,
        owner_type="company" if row.owner_type == "company" else "user",
        owner_id=row.owner_id,
        epoch=row.epoch,
        erased={name: int(number) for name, number in row.erased.items()},
        own_row=row.own_row,
        started_at=row.started_at,
        forgotten_at=row.forgotten_at,
        finished_at=row.finished_at,
    )
