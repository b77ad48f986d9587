"""Keeps the section store's permanent values, and says which epoch of the cache holds."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, cast
from uuid import UUID

from sqlalchemy import Row, Select, delete, func, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from services.domain.memories import Owner
from services.domain.sections import Name, value_id
from services.postgres.tables.sections import VERSIONS, SectionCacheRow, SectionValueRow, SectionVectorRow

CacheState = Literal["open", "closing", "closed"]
# Who writes holds its bucket's lock shared and each value's own; who gives the bucket a new epoch, the bucket's alone.
_BUCKETS, _VALUES = 730_431, 730_432
_SHARE = text("select pg_advisory_xact_lock_shared(:space, :bucket)")
_ALONE = text("select pg_advisory_xact_lock(:space, :bucket)")
_LOCK = text(
    "select pg_advisory_xact_lock(:space, number) "
    "from unnest(cast(:numbers as int[])) with ordinality as wanted (number, place) order by place"
)
_TRY_LOCK = text("select pg_try_advisory_xact_lock(:space, :number)")
_PATIENCE = text("set local lock_timeout = '3s'")
_Row = SectionValueRow


@dataclass(frozen=True, slots=True)
class Packed:
    """A value's JSON; `raw_size` is what it has before compression."""

    data: bytes
    is_compressed: bool
    raw_size: int


@dataclass(frozen=True, slots=True)
class Record:
    """A value that stands; `version` grows with each write, over deletions too."""

    packed: Packed
    version: int
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class CacheEpoch:
    """Entries of this epoch may be read while the state is `open`.

    Nobody may write without a mark in Redis until it is `closed`: by then no process trusts entries any more.
    """

    epoch: UUID
    state: CacheState
    resting_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Put:
    """What is to stand under a name; nothing, where `packed` is None. `body` is what is searched, in its language."""

    name: Name
    packed: Packed | None
    body: str | None = None
    language: str = "simple"


@dataclass(frozen=True, slots=True)
class Listed:
    """A value without what it says."""

    name: Name
    version: int
    raw_size: int
    stored_size: int
    updated_at: datetime


async def lock_values(session: AsyncSession, bucket: int, ids: Collection[UUID]) -> CacheEpoch:
    """Be the only writer of these values until the transaction ends, under the epoch that holds until then.

    The locks come first and in one order: what is read afterwards is what the writers before have left.
    """
    await session.execute(_SHARE, {"space": _BUCKETS, "bucket": bucket})
    numbers = sorted({_number(one) for one in ids})
    await session.execute(_LOCK, {"space": _VALUES, "numbers": numbers})
    return await _epoch(session, bucket)


async def try_lock_value(session: AsyncSession, one: UUID) -> bool:
    """Tell whether nobody is writing the value, and keep it so until the transaction ends."""
    return bool(await session.scalar(_TRY_LOCK, {"space": _VALUES, "number": _number(one)}))


async def lock_bucket(session: AsyncSession, bucket: int) -> CacheEpoch:
    """Wait until nobody writes in the bucket, and keep it so until the transaction ends."""
    await session.execute(_PATIENCE)
    await session.execute(_ALONE, {"space": _BUCKETS, "bucket": bucket})
    return await _epoch(session, bucket)


async def epochs(session: AsyncSession) -> dict[int, CacheEpoch]:
    resting = func.extract("epoch", func.clock_timestamp() - SectionCacheRow.changed_at)
    found = await session.execute(select(SectionCacheRow.bucket, SectionCacheRow.epoch, SectionCacheRow.state, resting))
    return {row[0]: CacheEpoch(row[1], cast(CacheState, row[2]), float(row[3])) for row in found}


async def set_state(session: AsyncSession, bucket: int, epoch: UUID, *, was: CacheState, now: CacheState) -> None:
    row = SectionCacheRow
    same = (row.bucket == bucket, row.epoch == epoch, row.state == was)
    await session.execute(update(row).where(*same).values(state=now, changed_at=func.clock_timestamp()))


async def begin_epoch(session: AsyncSession, bucket: int, epoch: UUID) -> None:
    row = SectionCacheRow
    changes = {"epoch": epoch, "state": "open", "changed_at": func.clock_timestamp()}
    await session.execute(update(row).where(row.bucket == bucket).values(changes))


async def records(session: AsyncSession, ids: Collection[UUID]) -> dict[UUID, Record]:
    columns = (_Row.id, _Row.value, _Row.is_compressed, _Row.raw_size, _Row.version, _Row.updated_at)
    found = await session.execute(select(*columns).where(_Row.id.in_(ids)))
    return {row.id: _record(row) for row in found}


async def put(session: AsyncSession, owner: Owner, puts: Sequence[Put]) -> dict[UUID, Record]:
    """Write or delete values whose locks the session holds; what it answers is what stands now."""
    gone = [value_id(owner, one.name) for one in puts if one.packed is None]
    if gone:
        await session.execute(delete(_Row).where(_Row.id.in_(gone)))
    rows = [_values(owner, one, one.packed) for one in puts if one.packed is not None]
    if not rows:
        return {}
    await session.execute(delete(SectionVectorRow).where(SectionVectorRow.value_id.in_([row["id"] for row in rows])))
    wanted = insert(_Row).values(rows)
    kept = ("value", "is_compressed", "raw_size", "body", "language")
    changes: dict[str, Any] = {name: wanted.excluded[name] for name in kept}
    changes |= {"version": VERSIONS.next_value(), "updated_at": func.clock_timestamp()}
    columns = (_Row.id, _Row.value, _Row.is_compressed, _Row.raw_size, _Row.version, _Row.updated_at)
    written = wanted.on_conflict_do_update(index_elements=["id"], set_=changes).returning(*columns)
    return {row.id: _record(row) for row in await session.execute(written)}


async def listed(
    session: AsyncSession,
    owner: Owner,
    *,
    section: str,
    namespace: str,
    prefix: str,
    after: str,
    limit: int,
) -> list[Listed]:
    """List names in the order of their keys, from the one that comes next after `after`."""
    wanted = (
        _names(owner)
        .where(_Row.section == section, _Row.namespace == namespace)
        .where(_Row.key > after, _Row.key.startswith(prefix, autoescape=True))
        .order_by(_Row.key)
        .limit(limit)
    )
    return [_listed(row) for row in await session.execute(wanted)]


async def recently_written(session: AsyncSession, owner: Owner, limit: int) -> list[Name]:
    wanted = _names(owner).order_by(_Row.updated_at.desc()).limit(limit)
    return [_listed(row).name for row in await session.execute(wanted)]


def _names(owner: Owner) -> Select[Any]:
    columns = (_Row.section, _Row.key, _Row.namespace, _Row.version, _Row.raw_size, _Row.updated_at)
    of_owner = (_Row.owner_type == owner.type, _Row.owner_id == owner.id)
    return select(*columns, func.length(_Row.value).label("stored_size")).where(*of_owner)


async def _epoch(session: AsyncSession, bucket: int) -> CacheEpoch:
    wanted = select(SectionCacheRow.epoch, SectionCacheRow.state).where(SectionCacheRow.bucket == bucket)
    row = (await session.execute(wanted)).one()
    return CacheEpoch(row.epoch, cast(CacheState, row.state))


def _number(one: UUID) -> int:
    """Give a value's lock; that two values share one now and then only makes them wait for each other."""
    return int.from_bytes(one.bytes[:4], "big", signed=True)


def _values(owner: Owner, one: Put, packed: Packed) -> Mapping[str, Any]:
    return {
        "id": value_id(owner, one.name),
        "owner_type": owner.type,
        "owner_id": owner.id,
        "section": one.name.section,
        "namespace": one.name.namespace,
        "key": one.name.key,
        "value": packed.data,
        "is_compressed": packed.is_compressed,
        "raw_size": packed.raw_size,
        "body": one.body,
        "language": one.language,
    }


def _record(row: Any) -> Record:  # noqa: ANN401  a row of any statement
    return Record(Packed(row.value, row.is_compressed, row.raw_size), row.version, row.updated_at)


def _listed(row: Row[Any]) -> Listed:
    name = Name(row.section, row.key, row.namespace)
    return Listed(name, row.version, row.raw_size, row.stored_size, row.updated_at)
