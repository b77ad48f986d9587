"""What to put in front of a model: a summary, memories and the last messages, within a token budget."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from uuid import UUID

from services.domain.context_packing import Fitted, Packed, Strategy, pack
from services.domain.errors import InvalidInputError, TransientError
from services.domain.memories import KINDS, Kind, MadeBy, Owner
from services.domain.messages import ArchivedMessage
from services.domain.transcripts import estimate_tokens, line
from services.memories.recent_messages import RecentMessage, RecentMessages
from services.memories.searching import Searching
from services.postgres.archive.room_reading import RoomReading
from services.postgres.archive.summaries import Summaries, Summary
from services.postgres.database import Tenant
from services.postgres.memories.brain import Brain, MemoryRecord
from services.postgres.search.searching import Hit

LEAST_BUDGET = 64
MOST_BUDGET = 200_000
_STANDING = 200


@dataclass(frozen=True, slots=True)
class ContextMemory:
    """A memory with its source; `score` is what the search gave it."""

    owner: Owner
    slug: str
    kind: Kind
    text: str
    asserted_at: datetime
    made_by: MadeBy
    version_id: UUID
    score: float
    value: float


@dataclass(frozen=True, slots=True)
class Shown:
    """A message as it was packed."""

    message: RecentMessage
    text: str
    is_shortened: bool


@dataclass(frozen=True, slots=True)
class Context:
    """`tokens` bounds what `markdown` takes. Where Redis was away `includes_buffered` is false."""

    room_id: str
    summary: Summary | None
    summary_is_shortened: bool
    memories: tuple[ContextMemory, ...]
    messages: tuple[Shown, ...]
    markdown: str
    tokens: int
    strategy: Strategy
    query: str
    by_meaning: bool
    includes_buffered: bool


class ContextBuilder:
    def __init__(
        self, searching: Searching, brain: Brain, summaries: Summaries, reading: RoomReading, recent: RecentMessages
    ) -> None:
        self._searching = searching
        self._brain = brain
        self._summaries = summaries
        self._reading = reading
        self._recent = recent

    async def build(
        self,
        room_id: str,
        *,
        query: str | None = None,
        token_budget: int = 1_500,
        owners: Sequence[Owner] = (),
        strategy: Strategy | None = None,
        tenant: Tenant | None = None,
    ) -> Context:
        """Gather and pack. The memories are of the room's owner and of `owners`, as far as the tenant sees them.

        Without a `query` the last thing that a user said is asked. What is not to be remembered is not shown. Whether
        the tenant may see the room's buffer is for the caller to say.
        """
        if not LEAST_BUDGET <= token_budget <= MOST_BUDGET:
            raise InvalidInputError("token_budget", f"{LEAST_BUDGET} to {MOST_BUDGET}")
        chosen = strategy or Strategy()
        messages, includes_buffered = await self._messages(room_id, chosen.max_messages, tenant)
        summary = await self._summaries.rolling(room_id, tenant=tenant)
        asked = query or _last_said(messages)
        whose = await self._whose(room_id, owners, tenant)
        memories, by_meaning = await self._memories(asked, whose, chosen, tenant)
        packed, memories = _packed(summary, memories, messages, token_budget, chosen)
        markdown = packed.markdown()
        return Context(
            room_id=room_id,
            summary=replace(summary, text=packed.summary.text) if summary and packed.summary else None,
            summary_is_shortened=packed.summary.is_shortened if packed.summary else False,
            memories=tuple(memories[one.index] for one in packed.memories),
            messages=tuple(_shown(one, messages) for one in packed.messages),
            markdown=markdown,
            tokens=estimate_tokens(markdown),
            strategy=chosen,
            query=asked,
            by_meaning=by_meaning,
            includes_buffered=includes_buffered,
        )

    async def _messages(self, room_id: str, most: int, tenant: Tenant | None) -> tuple[list[RecentMessage], bool]:
        if most == 0:
            return [], True
        try:
            found, includes_buffered = await self._recent.newest(room_id, most, tenant=tenant), True
        except TransientError:
            # Postgres may be away as well: then this fails for good.
            found, includes_buffered = await self._recent.archived(room_id, most, tenant=tenant), False
        return [message for message in found if message.remember], includes_buffered

    async def _whose(self, room_id: str, owners: Sequence[Owner], tenant: Tenant | None) -> list[Owner]:
        room = await self._reading.find(room_id, tenant=tenant)
        named = {(owner.type, owner.id): owner for owner in owners}
        if room and room.owner:
            named.setdefault((room.owner.type, room.owner.id), room.owner)
        return list(named.values())

    async def _memories(
        self, query: str, owners: Sequence[Owner], strategy: Strategy, tenant: Tenant | None
    ) -> tuple[list[ContextMemory], bool]:
        """Give the owners' memories, the most valuable first: what the search finds, and what was asserted last."""
        if strategy.max_memories == 0:
            return [], False
        found: dict[tuple[Owner, str], ContextMemory] = {}
        by_meaning = False
        now = datetime.now(UTC)
        for owner in owners:
            if query.strip():
                hits = await self._searching.find(
                    query, tenant=tenant, owner=owner, kinds=KINDS, limit=strategy.max_memories
                )
                by_meaning = by_meaning or hits.by_meaning
                for hit in hits.hits:
                    memory = _of_hit(owner, hit, strategy, now)
                    found[owner, memory.slug] = memory
            for record in await self._newest(owner, tenant):
                found.setdefault((owner, record.slug), _of_record(owner, record, strategy, now))
        best = sorted(found.values(), key=lambda memory: (-memory.value, memory.slug))
        return best[: strategy.max_memories], by_meaning

    async def _newest(self, owner: Owner, tenant: Tenant | None) -> list[MemoryRecord]:
        read = self._brain.get_all_by_user if owner.type == "user" else self._brain.get_all_by_company
        return await read(owner.id, limit=_STANDING, tenant=tenant)


def _packed(
    summary: Summary | None,
    memories: list[ContextMemory],
    messages: Sequence[RecentMessage],
    budget: int,
    strategy: Strategy,
) -> tuple[Packed, list[ContextMemory]]:
    """Fit all into the budget; what a message that is shown says word for word is no memory's to repeat."""
    lines = [line(_as_archived(message)) for message in messages]
    while True:
        told = [f"{memory.text} ({memory.asserted_at.date().isoformat()})" for memory in memories]
        packed = pack(summary.text if summary else None, told, lines, budget=budget, strategy=strategy)
        shown = [lines[one.index] for one in packed.messages if not one.is_shortened]
        new = [memory for memory in memories if not any(_says(one, memory.text) for one in shown)]
        if len(new) == len(memories):
            return packed, memories
        memories = new


def _says(message: str, memory: str) -> bool:
    speaker, _, words = memory.partition(": ")
    return message.startswith(f"{speaker}: ") and words in message


def _last_said(messages: Sequence[RecentMessage]) -> str:
    return next((message.content for message in reversed(messages) if message.role == "user"), "")


def _shown(fitted: Fitted, messages: Sequence[RecentMessage]) -> Shown:
    return Shown(messages[fitted.index], fitted.text, fitted.is_shortened)


def _as_archived(message: RecentMessage) -> ArchivedMessage:
    return ArchivedMessage(
        room_id=message.room_id,
        seq=message.seq or 0,
        id=message.id or "",
        role=message.role,
        content=message.content,
        user_id=message.user_id,
        sent_at=message.sent_at or datetime.now(UTC),
        tool_calls=message.tool_calls,
    )


def _of_hit(owner: Owner, hit: Hit, strategy: Strategy, now: datetime) -> ContextMemory:
    kind: Kind = next(kind for kind in KINDS if kind == hit.kind)
    return ContextMemory(
        owner=owner,
        slug=hit.slug or "",
        kind=kind,
        text=hit.text,
        asserted_at=hit.happened_at,
        made_by=hit.made_by,  # type: ignore[arg-type]
        version_id=UUID(hit.id),
        score=hit.score,
        value=strategy.value(hit.score, hit.happened_at, now),
    )


def _of_record(owner: Owner, record: MemoryRecord, strategy: Strategy, now: datetime) -> ContextMemory:
    return ContextMemory(
        owner=owner,
        slug=record.slug,
        kind=record.kind,
        text=record.content,
        asserted_at=record.asserted_at,
        made_by=record.made_by,
        version_id=record.version_id,
        score=0.0,
        value=strategy.value(0.0, record.asserted_at, now),
    )
