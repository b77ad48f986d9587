"""Compares what the brain says with what Mem0 holds, id by id, and mends one at a time."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import ColumnElement, Row, Select, Subquery, case, func, literal, null, select, union, update
from sqlalchemy.orm import Session

from services.domain.errors import InvalidInputError
from services.domain.memories import Owner
from services.mem0_store.model_tables import ModelTables, WrittenModels, memories_of
from services.mem0_store.payloads import Remembered, is_ours
from services.mem0_store.port import ReconcilePage
from services.mem0_store.saving import Vectors, VectorsNeeded, drop_intent, fitting, is_lacking, put
from services.postgres.memories.writing import lock
from services.postgres.tables.memories import CompanyBrainRow, Mem0IntentRow, MemoryVersionRow, UserBrainRow

Finding = Literal["agrees", "missing_in_mem0", "missing_in_brain", "texts_differ", "duplicates", "foreign"]
_BRAINS = (UserBrainRow, CompanyBrainRow)


@dataclass(frozen=True, slots=True)
class Pair:
    """One id in both places: `wanted` is what the brain says, `held` what Mem0 holds, each None where nothing stands.

    `was_deleted` says that a brain record went, by a cascade say, and Mem0 was not told yet.
    """

    id: UUID
    wanted: Remembered | None
    held: dict[str, Any] | None
    memory_id: str | None
    was_deleted: bool

    @property
    def finding(self) -> Finding:
        if self.wanted:
            if self.held is None:
                return "missing_in_mem0"
            linked = self.memory_id == str(self.id)
            return "agrees" if linked and self.wanted.is_in(self.held) else "texts_differ"
        if self.held is None:
            return "agrees"
        if self.was_deleted:
            return "missing_in_brain"
        if not is_ours(self.id, self.held):
            return "foreign"
        return "missing_in_brain" if self.held["brain_id"] == str(self.id) else "duplicates"

    @property
    def is_drift(self) -> bool:
        return self.finding not in ("agrees", "foreign")

    @property
    def text(self) -> str | None:
        """Give the text that must be embedded before Mem0 can hold it."""
        return self.wanted.content if self.wanted and not self.wanted.says(self.held or {}) else None


def page_of(pairs: Sequence[Pair], *, limit: int, repaired: int) -> ReconcilePage:
    found = Counter(pair.finding for pair in pairs)
    return ReconcilePage(
        checked=len(pairs),
        missing_in_mem0=found["missing_in_mem0"],
        missing_in_brain=found["missing_in_brain"],
        texts_differ=found["texts_differ"],
        duplicates=found["duplicates"],
        foreign=found["foreign"],
        repaired=repaired,
        next_after=str(pairs[-1].id) if len(pairs) == limit else None,
    )


def read_page(session: Session, *, after: str | None, limit: int) -> list[Pair]:
    """Read the next ids of either table, or of a deletion that is left to do, in one snapshot."""
    memories = memories_of(ModelTables.current(session))
    start = _start(after)
    sources: list[tuple[ColumnElement[UUID], tuple[ColumnElement[bool], ...]]] = [
        (UserBrainRow.id.expression, ()),
        (CompanyBrainRow.id.expression, ()),
        (memories.c.id, ()),
        (Mem0IntentRow.brain_id.expression, (Mem0IntentRow.action == "delete",)),
    ]
    ids = [select(id_.label("id")).where(id_ > start, *also).order_by(id_).limit(limit) for id_, also in sources]
    every = union(*(one.subquery().select() for one in ids)).subquery()
    page = select(every.c.id).order_by(every.c.id).limit(limit).subquery()
    return [_pair(row) for row in session.execute(_pairs(page, memories))]


def _start(after: str | None) -> UUID:
    try:
        return UUID(after) if after else UUID(int=0)
    except ValueError:
        raise InvalidInputError("after", "the cursor of a page before") from None


def mend(session: Session, id_: UUID, *, vectors: Vectors) -> bool | VectorsNeeded:
    """Look again, under the memory's lock, and make Mem0 hold what the brain says; tell whether it did not."""
    models = WrittenModels.find(session)
    lock(session, id_)
    pair = _read(session, id_, models.tables)
    texts = [pair.text] if pair.text is not None else []
    if is_lacking(texts, models, vectors):
        return VectorsNeeded.of(texts, models)
    if models.tables and pair.is_drift:
        put(models.tables, id_, pair.wanted, pair.held, fitting(models.tables, vectors))
        for tables in models.beside:
            put(tables, id_, pair.wanted, tables.payload(id_), fitting(tables, vectors))
        _link(session, pair)
    drop_intent(session, id_)
    return pair.is_drift


def _read(session: Session, id_: UUID, tables: ModelTables | None) -> Pair:
    one = select(literal(id_).label("id")).subquery()
    return _pair(session.execute(_pairs(one, memories_of(tables))).one())


def _pairs(ids: Subquery, memories: Subquery) -> Select[Any]:
    user, company, version, intent = UserBrainRow, CompanyBrainRow, MemoryVersionRow, Mem0IntentRow
    is_user = user.id.is_not(None)
    owner_type = case((is_user, "user"), (company.id.is_not(None), "company"), else_=null())
    owner_id = func.coalesce(user.user_id, company.company_id)
    return (
        select(
            ids.c.id,
            owner_type.label("owner_type"),
            owner_id.label("owner_id"),
            func.afterturn_entity_of(owner_type, owner_id).label("entity_id"),
            func.coalesce(user.slug, company.slug).label("slug"),
            func.coalesce(user.content, company.content).label("content"),
            func.coalesce(user.extra_metadata, company.extra_metadata).label("extra_metadata"),
            func.coalesce(user.memory_id, company.memory_id).label("memory_id"),
            version.kind,
            memories.c.id.is_not(None).label("is_held"),
            memories.c.payload,
            intent.brain_id.is_not(None).label("was_deleted"),
        )
        .select_from(ids)
        .outerjoin(user, user.id == ids.c.id)
        .outerjoin(company, company.id == ids.c.id)
        .outerjoin(version, (version.brain_id == ids.c.id) & version.is_current)
        .outerjoin(memories, memories.c.id == ids.c.id)
        .outerjoin(intent, (intent.brain_id == ids.c.id) & (intent.action == "delete"))
        .order_by(ids.c.id)
    )


def _pair(row: Row[Any]) -> Pair:
    wanted = None
    if row.owner_type is not None:
        wanted = Remembered(
            owner=Owner(row.owner_type, row.owner_id),
            entity_id=row.entity_id,
            slug=row.slug,
            content=row.content,
            kind=row.kind or "semantic",
            metadata=row.extra_metadata,
        )
    payload = row.payload if isinstance(row.payload, dict) else {}
    return Pair(row.id, wanted, payload if row.is_held else None, row.memory_id, row.was_deleted)


def _link(session: Session, pair: Pair) -> None:
    """Name the memory in Mem0 that is the record's: another back end may have named it before."""
    for brain in _BRAINS:
        wrong = update(brain).where(brain.id == pair.id, brain.memory_id != str(pair.id))
        session.execute(wrong.values(memory_id=str(pair.id)))
