"""Erases all that Postgres holds of an owner, a page at a time: each page is one transaction that counts itself."""

from collections.abc import Awaitable, Callable, Sequence
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Select,
    Text,
    and_,
    bindparam,
    delete,
    false,
    func,
    or_,
    select,
    text,
    update,
)
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute

from services.domain.forgetting import is_named, is_own_room, said_in
from services.domain.memories import Owner
from services.postgres.database import Database
from services.postgres.forgetting.erasing_memories import Derived, erase_assertions
from services.postgres.forgetting.erasing_messages import Erased, drop_room, erase_messages
from services.postgres.forgetting.forgettings import Forgetting, count, note_own_row
from services.postgres.tables.api import ApiKeyRow
from services.postgres.tables.archive import ArchivedRow, QuarantineRow, Room
from services.postgres.tables.forgetting import MemoryToSettleRow
from services.postgres.tables.maintenance import RetentionRow
from services.postgres.tables.memories import Mem0IntentRow, MemoryVersionRow
from services.postgres.tables.webhooks import OutboxRow, WebhookRow
from services.postgres.upkeep.analyses import drop_names

PAGE = 500
_Step = Callable[[AsyncSession, Forgetting], Awaitable[int]]
# A turn begins with a message that names its speaker; what names nobody replies to it, or opens the first one.
_TURNS = text(
    "with turns as (select seq, user_id, archived_at, "
    "greatest(count(*) filter (where user_id is not null or role = 'user') over (order by seq), 1) as turn "
    "from messages where room_id = :room), "
    "theirs as (select distinct turn from turns where user_id = any(:ids) and archived_at <= :until "
    "order by turn limit :limit) "
    "select seq from turns join theirs using (turn) where archived_at <= :until order by seq"
).bindparams(bindparam("ids", type_=ARRAY(Text)))
_ROW = text("select afterturn_forget_owner(:type, :id)")


class OwnerEraser:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def erase_page(self, run: Forgetting) -> bool:
        """Erase one page of whatever is left; False when nothing is. A repeated call goes on where the last one was."""
        for step in _STEPS:
            async with self._database.transaction() as session:
                if await step(session, run):
                    return True
        return False

    async def to_settle(self, run: Forgetting, limit: int = PAGE) -> list[tuple[Owner, str]]:
        """Give memories of others that lost a source and that Mem0 has not been told of yet."""
        row = MemoryToSettleRow
        async with self._database.transaction() as session:
            found = await session.scalars(select(row).where(row.run_id == run.run_id).order_by(row.slug).limit(limit))
            return [(Owner("user" if one.owner_type == "user" else "company", one.owner_id), one.slug) for one in found]

    async def settled(self, run: Forgetting, owner: Owner, slug: str) -> None:
        row = MemoryToSettleRow
        async with self._database.transaction() as session:
            await session.execute(
                delete(row).where(
                    row.run_id == run.run_id,
                    row.owner_type == owner.type,
                    row.owner_id == owner.id,
                    row.slug == slug,
                )
            )


async def _rooms_of_their_own(session: AsyncSession, run: Forgetting) -> int:
    """Rooms in which nobody else is named go whole, and a company's whoever is; what came afterwards stays."""
    owned: tuple[ColumnElement[bool], ...] = (
        Room.owner_type == run.owner.type,
        Room.owner_id == run.owner.id,
        Room.created_at <= run.since,
    )
    if run.owner.type == "user":
        owned = (*owned, or_(Room.id.startswith("user:"), ~_of_others(run).exists()))
    old = ArchivedRow.archived_at <= run.since
    waiting = select(ArchivedRow.seq).where(ArchivedRow.room_id == Room.id, old)
    anything = select(ArchivedRow.seq).where(ArchivedRow.room_id == Room.id)
    wanted = select(Room.id).where(*owned, or_(waiting.exists(), ~anything.exists())).order_by(Room.id).limit(1)
    room_id = await session.scalar(wanted)
    if room_id is None:
        return 0
    page = select(ArchivedRow.seq).where(ArchivedRow.room_id == room_id, old).order_by(ArchivedRow.seq).limit(PAGE + 1)
    seqs = list(await session.scalars(page))
    # With the last of it the room is theirs no more: what came meanwhile, and names nobody, may keep it.
    is_last = len(seqs) <= PAGE and not is_own_room(run.owner, room_id)
    erased = await erase_messages(session, room_id, seqs[:PAGE], leaving=run.owner if is_last else None)
    await _keep_count(session, run, erased)
    await count(session, run.run_id, await _unreadable_in(session, room_id, run))
    await count(session, run.run_id, await drop_room(session, room_id))
    return 1


def _of_others(run: Forgetting) -> Select[int]:
    row = ArchivedRow
    somebody = and_(row.user_id.is_not(None), row.user_id.not_in(run.ids))
    company = and_(row.user_id.is_(None), row.company_id.is_not(None))
    return select(row.seq).where(row.room_id == Room.id, or_(somebody, company))


async def _unreadable_in(session: AsyncSession, room_id: str, run: Forgetting) -> dict[str, int]:
    """Entries that never came into the archive go with their room, unless they name somebody else than this person."""
    row = QuarantineRow
    there = select(row).where(row.room_id == room_id, row.kind != "chunk", row.created_at <= run.since)
    found = await session.stream_scalars(there.execution_options(yield_per=100))
    ids = [one.id async for one in found if run.owner.type == "company" or _may_be_theirs(run, one)]
    await session.execute(delete(row).where(row.id.in_(ids)))
    return {"quarantine": len(ids)}


def _may_be_theirs(run: Forgetting, row: QuarantineRow) -> bool:
    raw = row.raw or b""
    said_by = said_in(raw, row.room_id).user_id
    by_mail = run.email is not None and run.email.encode() in raw
    return said_by is None or by_mail or is_named(run.owner, said_by)


async def _shared_rooms(session: AsyncSession, run: Forgetting) -> int:
    """In others' rooms a person's turns go, and what was said by others stays."""
    if run.owner.type != "user":
        return 0
    said = or_(ArchivedRow.user_id.in_(run.ids), _came_by_their_buffer(run, ArchivedRow.claim))
    first = (
        select(ArchivedRow.room_id, ArchivedRow.seq, ArchivedRow.user_id)
        .where(said, ArchivedRow.archived_at <= run.since)
        .order_by(ArchivedRow.room_id, ArchivedRow.seq)
        .limit(1)
    )
    found = (await session.execute(first)).one_or_none()
    if found is None:
        return 0
    asked = {"room": found.room_id, "ids": list(run.ids), "until": run.since, "limit": PAGE}
    seqs = list(await session.scalars(_TURNS, asked)) if found.user_id in run.ids else [found.seq]
    await _keep_count(session, run, await erase_messages(session, found.room_id, seqs, leaving=run.owner))
    await count(session, run.run_id, await drop_room(session, found.room_id))
    return len(seqs)


async def _person_in_companies_rooms(session: AsyncSession, run: Forgetting) -> int:
    """A company's room notes who spoke first in it."""
    if run.owner.type != "user":
        return 0
    noted = (Room.owner_type == "company", Room.user_id.in_(run.ids), Room.created_at <= run.since)
    rooms = list(await session.scalars(update(Room).where(*noted).values(user_id=None).returning(Room.id)))
    await count(session, run.run_id, {"user_ids": len(rooms)})
    return len(rooms)


async def _company_in_others_rooms(session: AsyncSession, run: Forgetting) -> int:
    if run.owner.type != "company":
        return 0
    page = (
        select(ArchivedRow.uid)
        .where(ArchivedRow.company_id.in_(run.ids), ArchivedRow.archived_at <= run.since)
        .limit(PAGE)
    )
    uids = list(await session.scalars(page))
    await session.execute(update(ArchivedRow).where(ArchivedRow.uid.in_(uids)).values(company_id=None))
    rooms = update(Room).where(Room.company_id.in_(run.ids), Room.owner_id.is_distinct_from(run.owner.id))
    named = list(
        await session.scalars(rooms.where(Room.created_at <= run.since).values(company_id=None).returning(Room.id))
    )
    await count(session, run.run_id, {"company_ids": len(uids) + len(named)})
    return len(uids) + len(named)


async def _quarantine(session: AsyncSession, run: Forgetting) -> int:
    """What could not be read and names the owner, or came by a buffer that does."""
    row = QuarantineRow
    spoken = or_(*(func.position(func.convert_to(id_, "UTF8").op("in")(row.raw)) > 0 for id_ in run.ids))
    own = row.room_id.in_([f"user:{id_}" for id_ in run.ids]) if run.owner.type == "user" else row.room_id.is_(None)
    came = _came_by_their_buffer(run, row.source)
    suspects = select(row).where(row.kind != "chunk", row.created_at <= run.since, or_(spoken, own, came))
    found = await session.stream_scalars(suspects.order_by(row.id).execution_options(yield_per=100))
    ids = [one.id async for one in found if _is_theirs(run, one)]
    await session.execute(delete(row).where(row.id.in_(ids)))
    await count(session, run.run_id, {"quarantine": len(ids)})
    return len(ids)


async def _memories(session: AsyncSession, run: Forgetting) -> int:
    row, owned = MemoryVersionRow, _owned(run.owner)
    brains = select(row.brain_id).where(owned, row.recorded_at <= run.since).distinct().limit(PAGE // 5)
    wanted = select(row.id, row.slug).where(row.brain_id.in_(brains), row.recorded_at <= run.since)
    found: dict[str, list[UUID]] = {}
    for one in await session.execute(wanted):
        found.setdefault(one.slug, []).append(one.id)
    derived = [Derived(run.owner, slug, tuple(ids)) for slug, ids in found.items()]
    await count(session, run.run_id, await erase_assertions(session, derived))
    return len(derived)


async def _intents(session: AsyncSession, run: Forgetting) -> int:
    """What is under way in Mem0 loses its text and its lease: who is at it commits nothing, and Mem0 is swept."""
    row = Mem0IntentRow
    begun = (row.owner_type == run.owner.type, row.owner_id == run.owner.id, row.action == "save")
    changes: dict[str, object] = {"action": "delete", "payload": {}, "lease_token": None, "lease_until": None}
    gone = update(row).where(*begun, row.created_at <= run.since).values(changes).returning(row.brain_id)
    found = len(list(await session.scalars(gone)))
    await count(session, run.run_id, {"mem0_intents": found})
    return found


async def _what_names_them(session: AsyncSession, run: Forgetting) -> int:
    key = ApiKeyRow.user_id if run.owner.type == "user" else ApiKeyRow.company_id
    revoked, told, events = ApiKeyRow.revoked_at, WebhookRow, OutboxRow
    webhooks = delete(told).where(
        told.owner_type == run.owner.type, told.owner_id == run.owner.id, told.created_at <= run.since
    )
    # Their memories' ends were queued while these were erased.
    outbox = delete(events).where(
        events.owner_type == run.owner.type,
        events.owner_id == run.owner.id,
        or_(events.occurred_at <= run.since, events.data["change"].astext == "ended"),
    )
    # Their rows stay, empty: an API that had a key does not open to everybody with the last one.
    ended = {"user_id": None, "company_id": None, "name": "", "revoked_at": func.coalesce(revoked, func.now())}
    bound = update(ApiKeyRow).where(key.in_(run.ids), ApiKeyRow.created_at <= run.since)
    keys = bound.values(ended).returning(ApiKeyRow.id)
    kept = RetentionRow
    retention = delete(kept).where(
        kept.owner_type == run.owner.type, kept.owner_id == run.owner.id, kept.set_at <= run.since
    )
    await drop_names(session)
    counts = {
        "api_keys": len(list(await session.scalars(keys))),
        "webhooks": len(list(await session.scalars(webhooks.returning(told.id)))),
        "outbox": len(list(await session.scalars(outbox.returning(events.seq)))),
        "retention": len(list(await session.scalars(retention.returning(kept.table_name)))),
    }
    await count(session, run.run_id, counts)
    return sum(counts.values())


async def _own_row(session: AsyncSession, run: Forgetting) -> int:
    """Last of all, as the others need what it says. Who came back meanwhile keeps it, with their new memories."""
    anew = select(MemoryVersionRow.id).where(_owned(run.owner)).limit(1)
    told = (
        "kept"
        if await session.scalar(anew)
        else await session.scalar(_ROW, {"type": run.owner.type, "id": run.owner.id})
    )
    await note_own_row(session, run.run_id, str(told))
    return 0


_STEPS: tuple[_Step, ...] = (
    _intents,
    _rooms_of_their_own,
    _shared_rooms,
    _person_in_companies_rooms,
    _company_in_others_rooms,
    _quarantine,
    _memories,
    _what_names_them,
    _own_row,
)


async def _keep_count(session: AsyncSession, run: Forgetting, erased: Erased) -> None:
    await count(session, run.run_id, erased.counts)
    others = [one for one in erased.memories if one.owner.id != run.owner.id]
    if others:
        rows = [
            {"run_id": run.run_id, "owner_type": one.owner.type, "owner_id": one.owner.id, "slug": one.slug}
            for one in others
        ]
        await session.execute(insert(MemoryToSettleRow).on_conflict_do_nothing(), rows)


def _owned(owner: Owner) -> ColumnElement[bool]:
    row = MemoryVersionRow
    return row.user_id == owner.id if owner.type == "user" else row.company_id == owner.id


def _came_by_their_buffer(run: Forgetting, column: InstrumentedAttribute[str]) -> ColumnElement[bool]:
    """A buffer whose key names no room may name the person: by an e-mail address, say."""
    return or_(false(), *(column.startswith(f"user:{name}:messages ", autoescape=True) for name in _names(run)))


def _is_theirs(run: Forgetting, row: QuarantineRow) -> bool:
    if is_own_room(run.owner, row.room_id):
        return True
    said = said_in(row.raw or b"", row.room_id)
    given = said.user_id if run.owner.type == "user" else said.company_id
    return given in run.ids or row.source.startswith(tuple(f"user:{name}:messages " for name in _names(run)))


def _names(run: Forgetting) -> Sequence[str]:
    if run.owner.type != "user":
        return ()
    return [*run.ids, *([run.email] if run.email else [])]
