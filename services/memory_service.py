"""Saves memories for whoever asks: activities, API, commands and agents. One that fails never stops the others."""

import asyncio
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Literal
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, JsonValue, ValidationError

from services.domain.errors import AfterturnError, InvalidInputError, TransientError
from services.domain.histories import check_memory
from services.domain.memories import MAX_SLUG, Change, Kind, NewMemory, Owner, owner_of
from services.mem0_store.port import MemoryStore

# Of one call; the store's own connections bound what all calls do at once.
_AT_ONCE = 8

logger = logging.getLogger(__name__)


class MemoryInput(BaseModel):
    """A memory as a caller gives it; without `asserted_at` it is asserted now."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    slug: str
    content: str
    kind: Kind = "semantic"
    metadata: dict[str, JsonValue] = Field(default_factory=dict)
    asserted_at: AwareDatetime | None = None


class MemoryResult(BaseModel):
    """What became of one memory. `memory_id` is Mem0's, where one stands under the slug."""

    slug: str
    outcome: Change | Literal["failed", "skipped"]
    memory_id: str | None = None


class MemoryFailure(BaseModel):
    """Why one memory was not saved. `field` is what was wrong with it; what is `transient` may be tried again."""

    slug: str
    reason: str
    field: str | None = None
    transient: bool = False
    retry_after: float | None = None


class SaveResult(BaseModel):
    """What became of each memory, in the order in which they were given. `success` says that none failed."""

    success: bool
    saved_count: int
    failed_count: int
    skipped_count: int
    errors: list[MemoryFailure]
    results: list[MemoryResult]


class MemoryService:
    """Saves memories of people and companies. Without a store it skips them, and says so once in the log."""

    def __init__(self, store: MemoryStore | None) -> None:
        self._store = store
        self._told = False

    @property
    def is_configured(self) -> bool:
        return self._store is not None

    async def save_user_memories(
        self, user_id: str | UUID, memories: Iterable[MemoryInput | Mapping[str, Any]]
    ) -> SaveResult:
        """Save what a caller says about a person; raises `InvalidInputError` only where `user_id` is no id."""
        return await self._save(owner_of("user", user_id), _understood(memories))

    async def save_company_memories(
        self, company_id: str | UUID, memories: Iterable[MemoryInput | Mapping[str, Any]]
    ) -> SaveResult:
        """Save what a caller says about a company; raises `InvalidInputError` only where `company_id` is no id."""
        return await self._save(owner_of("company", company_id), _understood(memories))

    async def save(self, owner: Owner, memories: Sequence[NewMemory]) -> SaveResult:
        return await self._save(owner, memories)

    async def delete(self, owner: Owner, slug: str) -> SaveResult:
        """End the memory: from now on it is no longer true. Its history stays."""
        return await self._save(owner, [NewMemory(slug=slug, content=None, asserted_at=datetime.now(UTC))])

    async def _save(self, owner: Owner, memories: Sequence[NewMemory | MemoryFailure]) -> SaveResult:
        if self._store is None:
            return self._skipped(memories)
        saving = asyncio.Semaphore(_AT_ONCE)
        async with asyncio.TaskGroup() as tasks:
            turns = [
                tasks.create_task(_save_in_turn(self._store, owner, turn, saving)) for turn in _turns(memories).values()
            ]
        outcomes = dict(pair for turn in turns for pair in turn.result())
        return _summed([outcomes[place] for place in range(len(memories))])

    def _skipped(self, memories: Sequence[NewMemory | MemoryFailure]) -> SaveResult:
        if not self._told:
            logger.warning("memories are not kept: Mem0 is not configured (MEM0_BACKEND or MEM0_API_KEY)")
            self._told = True
        return _summed([MemoryResult(slug=memory.slug, outcome="skipped") for memory in memories])


def _turns(memories: Sequence[NewMemory | MemoryFailure]) -> dict[str, list[tuple[int, NewMemory | MemoryFailure]]]:
    """Sort by slug, each with its place: what is said twice of one slug is saved in the order given."""
    turns: dict[str, list[tuple[int, NewMemory | MemoryFailure]]] = {}
    for place, memory in enumerate(memories):
        turns.setdefault(memory.slug, []).append((place, memory))
    return turns


async def _save_in_turn(
    store: MemoryStore,
    owner: Owner,
    turn: Sequence[tuple[int, NewMemory | MemoryFailure]],
    saving: asyncio.Semaphore,
) -> list[tuple[int, MemoryResult | MemoryFailure]]:
    async with saving:
        return [
            (place, memory if isinstance(memory, MemoryFailure) else await _save_one(store, owner, memory))
            for place, memory in turn
        ]


async def _save_one(store: MemoryStore, owner: Owner, memory: NewMemory) -> MemoryResult | MemoryFailure:
    try:
        saved = await store.save(owner, _checked(memory))
    except AfterturnError as error:
        return _failure(memory.slug, error)
    except Exception as error:  # noqa: BLE001  whatever it is, the other memories are saved
        # Its text and its traceback may quote the memory.
        logger.error("a memory was not saved: unexpected %s", type(error).__name__)  # noqa: TRY400
        return MemoryFailure(slug=memory.slug, reason=f"unexpected {type(error).__name__}", transient=True)
    return MemoryResult(slug=saved.slug, outcome=saved.change, memory_id=saved.memory_id)


def _failure(slug: str, error: AfterturnError) -> MemoryFailure:
    return MemoryFailure(
        slug=slug,
        reason=str(error),
        field=error.field if isinstance(error, InvalidInputError) else None,
        transient=isinstance(error, TransientError),
        retry_after=error.retry_after if isinstance(error, TransientError) else None,
    )


def _summed(outcomes: Sequence[MemoryResult | MemoryFailure]) -> SaveResult:
    errors = [outcome for outcome in outcomes if isinstance(outcome, MemoryFailure)]
    results = [
        MemoryResult(slug=outcome.slug, outcome="failed") if isinstance(outcome, MemoryFailure) else outcome
        for outcome in outcomes
    ]
    skipped = sum(result.outcome == "skipped" for result in results)
    return SaveResult(
        success=not errors,
        saved_count=len(results) - len(errors) - skipped,
        failed_count=len(errors),
        skipped_count=skipped,
        errors=errors,
        results=results,
    )


def _understood(memories: Iterable[MemoryInput | Mapping[str, Any]]) -> list[NewMemory | MemoryFailure]:
    given = list(memories)
    # Of two that are said at once of one slug, the second is the newer.
    first = datetime.now(UTC) - timedelta(microseconds=len(given))
    return [_read(memory, first + timedelta(microseconds=place)) for place, memory in enumerate(given)]


def _read(given: MemoryInput | Mapping[str, Any], asserted_at: datetime) -> NewMemory | MemoryFailure:
    try:
        memory = MemoryInput.model_validate(given)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False, include_context=False)[0]
        field = str(first["loc"][0]) if first["loc"] else "memory"
        return MemoryFailure(slug=_slug_of(given), field=field, reason=f"{field}: {first['msg']}")
    return NewMemory(
        slug=memory.slug,
        content=memory.content,
        kind=memory.kind,
        metadata=dict(memory.metadata),
        asserted_at=memory.asserted_at or asserted_at,
    )


def _slug_of(given: object) -> str:
    slug = given.get("slug") if isinstance(given, Mapping) else None
    return slug[:MAX_SLUG] if isinstance(slug, str) else ""


def _checked(memory: NewMemory) -> NewMemory:
    """Refuse what no store can hold. Nobody asserts in the future: it would outlast all that is said until then."""
    check_memory(memory)
    return replace(memory, asserted_at=min(memory.asserted_at, datetime.now(UTC)))
