"""Finds messages, summaries and memories by words and by meaning."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.resources import files
from typing import Any, Literal, get_args
from uuid import UUID

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncSession

from services.domain.memories import KINDS, Owner
from services.domain.named_times import Span
from services.domain.questions import Question, read_question
from services.postgres.database import Database, Tenant
from services.postgres.search.asked_words import asked_words, with_asked_words
from services.postgres.vector_type import vector_text
from services.postgres.vectors.tables import VectorTable, find_table

HitKind = Literal["message", "summary", "episodic", "semantic", "procedural"]
HIT_KINDS: tuple[HitKind, ...] = get_args(HitKind)
# A question to more rooms than these names nobody who speaks in them.
MOST_ROOMS = 100

_SQL, _MESSAGES, _SUMMARIES, _MEMORIES, _SPEAKERS = (
    files("services.postgres.search").joinpath(f"search{part}.sql").read_text().rstrip()
    for part in ("", "_messages", "_summaries", "_memories", "_speakers")
)
_NO_VECTORS = "(select null::uuid as item_id, null::text as room_id, null::vector as embedding where false)"
_NO_MEMORIES = "(select null::uuid as id, null::vector as vector where false)"
# The version that held at a time, of each memory; an assertion that only repeats one is none.
_VERSIONS_THEN = (
    "(select distinct on (brain_id) * from memory_versions where not repeats and asserted_at <= :as_of and {owned} "
    "order by brain_id, asserted_at desc, content is not null desc, id desc)"
)
_ROOMS = "select r.id from rooms as r where {conditions}"
# An assertion that only repeats a version has sources of its own.
_LEARNED_IN_ROOM = (
    "exists (select from memory_versions as said join memory_sources as source on source.version_id = said.id "
    "join messages as m on m.uid = source.message_uid where m.room_id = :room_id and said.brain_id = v.brain_id "
    "and (said.id = v.id or (said.repeats and said.asserted_at >= v.asserted_at{known}))"
    ")"
)


@dataclass(frozen=True, slots=True)
class Hit:
    """A message, a summary or a memory that was found; `score` is between 0 and 1.4.

    `kind` is `message`, `summary` or the memory's own. `made_by` is of a summary or a memory; `slug`, `owner` and the
    time in which it held are a memory's, `valid_to` None for as long as it stands.
    """

    kind: HitKind
    id: str
    room_id: str | None
    seq: int | None
    role: str
    text: str
    happened_at: datetime
    score: float
    made_by: str | None
    slug: str | None = None
    owner: Owner | None = None
    valid_from: datetime | None = None
    valid_to: datetime | None = None


@dataclass(frozen=True, slots=True)
class Scope:
    """What is looked through. `since` is included, `until` is not; nothing later than `as_of` is known."""

    owner: Owner | None = None
    room_id: str | None = None
    kinds: frozenset[str] = frozenset(HIT_KINDS)
    since: datetime | None = None
    until: datetime | None = None
    as_of: datetime | None = None


class Search:
    def __init__(self, database: Database, model: str) -> None:
        self._database = database
        self._model = model

    async def read(
        self,
        question: str,
        *,
        tenant: Tenant | None = None,
        owner: Owner | None = None,
        room_id: str | None = None,
        now: datetime | None = None,
    ) -> Question:
        """Read a question as those understand it who speak in the scope: embed its `words`, then `find` it."""
        async with self._database.transaction(tenant) as session:
            return await _read(session, question, Scope(owner=owner, room_id=room_id), now or datetime.now(UTC))

    async def find(  # noqa: PLR0913  each narrows the search, and is named
        self,
        question: str | Question,
        vector: Sequence[float] | None,
        *,
        tenant: Tenant | None = None,
        owner: Owner | None = None,
        room_id: str | None = None,
        kinds: Iterable[str] = HIT_KINDS,
        since: datetime | None = None,
        until: datetime | None = None,
        as_of: datetime | None = None,
        limit: int = 10,
    ) -> list[Hit]:
        """Give the best hits first, of what the `tenant` may see. Without a `vector` words alone decide.

        `as_of` finds what a memory said then, and nothing that was said or sent later.
        """
        scope = Scope(owner, room_id, frozenset(kinds), since, until, as_of)
        now = as_of or datetime.now(UTC)
        async with self._database.transaction(tenant) as session:
            asked = question if isinstance(question, Question) else await _read(session, question, scope, now)
            vectors = await find_table(session, self._model) if vector else None
            statement = _statement(scope, vectors)
            if statement is None:
                return []
            parameters = _parameters(asked, scope) | {
                "vector": vector_text(vector) if vectors and vector else None,
                "now": now,
                "limit": limit,
            }
            return [_hit(row) for row in await session.execute(text(statement), parameters)]


async def _read(session: AsyncSession, question: str, scope: Scope, now: datetime) -> Question:
    conditions = " and ".join(_rooms(scope)) or "true"
    found = await session.scalars(
        text(_SPEAKERS.replace("{conditions}", conditions)),
        {name: value for name, value in _scope_values(scope).items() if f":{name}" in conditions}
        | {"most_rooms": MOST_ROOMS},
    )
    return read_question(question, found, now)


def _statement(scope: Scope, vectors: VectorTable | None) -> str | None:
    sources = []
    if "message" in scope.kinds:
        sources.append(_source(_MESSAGES, [*_in_rooms(scope, "m"), *_times(scope, "m.sent_at")]))
    if "summary" in scope.kinds:
        sources.append(_source(_SUMMARIES, [*_in_rooms(scope, "s"), *_times(scope, "m.sent_at")]))
    if scope.kinds.intersection(KINDS):
        sources.append(_memories(scope))
    if not sources:
        return None
    found, told = ("\n    union all\n".join(part) for part in zip(*sources, strict=True))
    return (
        with_asked_words(_SQL)
        .replace("{found}", found)
        .replace("{told}", told)
        .replace("{vectors}", vectors.table.name if vectors else _NO_VECTORS)
        .replace("{memories}", (vectors.memory_table if vectors else None) or _NO_MEMORIES)
    )


def _source(sql: str, conditions: list[str]) -> tuple[str, str]:
    """Give what finds a kind, and what tells the best of it."""
    find, tell = sql.replace("{conditions}", " and ".join(conditions) or "true").split("\n\n")
    return find, tell


def _memories(scope: Scope) -> tuple[str, str]:
    owned = f"{scope.owner.type}_id = :owner_id" if scope.owner else "true"
    conditions = [owned, *_times(scope, "v.asserted_at"), *([_learned_in_room(scope)] if scope.room_id else [])]
    versions = _VERSIONS_THEN.replace("{owned}", owned) if scope.as_of else "memory_versions"
    if not scope.as_of:
        conditions.append("v.is_current")
    return _source(_MEMORIES.replace("{versions}", versions), conditions)


def _learned_in_room(scope: Scope) -> str:
    return _LEARNED_IN_ROOM.replace("{known}", " and said.asserted_at <= :as_of" if scope.as_of else "")


def _rooms(scope: Scope) -> list[str]:
    """Narrow `rooms as r`; which of them the tenant sees is not for us to say."""
    conditions = []
    if scope.owner:
        conditions.append("r.owner_type = :owner_type and r.owner_id = :owner_id")
    if scope.room_id:
        conditions.append("r.id = :room_id")
    return conditions


def _in_rooms(scope: Scope, alias: str) -> list[str]:
    """Narrow by room: through `rooms`, so that a tenant's own are looked up and not everybody's read."""
    rooms = " and ".join(_rooms(scope)) or "true"
    return [
        f"{alias}.room_id in ({_ROOMS.replace('{conditions}', rooms)})",
        *([f"{alias}.room_id = :room_id"] if scope.room_id else []),
    ]


def _times(scope: Scope, at: str) -> list[str]:
    limits = (("since", ">=", scope.since), ("until", "<", scope.until), ("as_of", "<=", scope.as_of))
    return [f"{at} {sign} :{name}" for name, sign, value in limits if value]


def _scope_values(scope: Scope) -> dict[str, Any]:
    return {
        "room_id": scope.room_id,
        "owner_type": scope.owner.type if scope.owner else None,
        "owner_id": scope.owner.id if scope.owner else None,
        "kinds": sorted(scope.kinds.intersection(KINDS)),
        "since": scope.since,
        "until": scope.until,
        "as_of": scope.as_of,
    }


def _parameters(asked: Question, scope: Scope) -> dict[str, Any]:
    return (
        _scope_values(scope)
        | asked_words(asked.words)
        | {"speakers": list(asked.speakers), "times": _multirange(asked.times)}
    )


def _multirange(spans: Sequence[Span]) -> str:
    return "{" + ",".join(f'["{start.isoformat()}","{end.isoformat()}")' for start, end in spans) + "}"


def _hit(row: Row[Any]) -> Hit:
    owner = (
        Owner("user", UUID(str(row.user_id)))
        if row.user_id
        else Owner("company", UUID(str(row.company_id)))
        if row.company_id
        else None
    )
    return Hit(
        kind=row.kind,
        id=row.id,
        room_id=row.room_id,
        seq=row.seq,
        role=row.role,
        text=row.text,
        happened_at=row.happened_at,
        score=row.score,
        made_by=row.made_by,
        slug=row.slug,
        owner=owner,
        valid_from=row.valid_from,
        valid_to=row.valid_to,
    )
