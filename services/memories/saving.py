"""Saves memories for whoever asks: activities, API, commands and agents. One that fails never stops the others."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Literal
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, JsonValue, ValidationError

from services.domain.errors import (
    AfterturnError,
    ChangedMeanwhileError,
    InvalidInputError,
    OwnerUnknownError,
    TransientError,
)
from services.domain.histories import check_memory
from services.domain.memories import MAX_SLUG, Change, Kind, NewMemory, Owner, SavedMemory, owner_of
from services.mem0_store.port import MemoryStore, Outcome

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
    """Why one memory was not saved. `field` is what was wrong with it; what is `transient` may be tried again.

    An `outage` is nobody's fault: whatever needs the same server has to wait. `changed` says that something else stands
    than the caller said.
    """

    slug: str
    reason: str
    field: str | None = None
    transient: bool = False
    retry_after: float | None = None
    outage: bool = Field(default=False, exclude=True)
    changed: bool = Field(default=False, exclude=True)


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

    async def save(self, owner: Owner, memories: Sequence[NewMemory], *, are_new: bool = False) -> SaveResult:
        """Save what is known of an owner; where most likely none of it was saved before they `are_new`."""
        [result] = await self._save_all([(owner, memories)], are_new=are_new)
        return result

    async def save_many(self, wanted: Sequence[tuple[Owner, Sequence[NewMemory]]]) -> list[SaveResult]:
        """Save memories of many owners together; what keeps one owner's out keeps out no other's."""
        return await self._save_all(wanted)

    async def delete(self, owner: Owner, slug: str) -> SaveResult:
        """End the memory: from now on it is no longer true. Its history stays."""
        return await self._save(owner, [NewMemory(slug=slug, content=None, asserted_at=datetime.now(UTC))])

    async def _save(self, owner: Owner, memories: Sequence[NewMemory | MemoryFailure]) -> SaveResult:
        [result] = await self._save_all([(owner, memories)])
        return result

    async def _save_all(
        self, wanted: Sequence[tuple[Owner, Sequence[NewMemory | MemoryFailure]]], *, are_new: bool = False
    ) -> list[SaveResult]:
        if self._store is None:
            return [self._skipped(memories) for _, memories in wanted]
        checked = [(owner, [_checked(memory) for memory in memories]) for owner, memories in wanted]
        said = [(owner, one) for owner, memories in checked for one in memories if isinstance(one, NewMemory)]
        outcomes = iter(await self._store.save_many(said, are_new=are_new))
        return [
            _summed([one if isinstance(one, MemoryFailure) else _told(one, next(outcomes)) for one in memories])
            for _, memories in checked
        ]

    def _skipped(self, memories: Sequence[NewMemory | MemoryFailure]) -> SaveResult:
        if not self._told:
            logger.warning("memories are not kept: Mem0 is not configured (MEM0_BACKEND or MEM0_API_KEY)")
            self._told = True
        return _summed([MemoryResult(slug=memory.slug, outcome="skipped") for memory in memories])


def _told(memory: NewMemory, outcome: Outcome) -> MemoryResult | MemoryFailure:
    if isinstance(outcome, SavedMemory):
        return MemoryResult(slug=outcome.slug, outcome=outcome.change, memory_id=outcome.memory_id)
    if isinstance(outcome, AfterturnError):
        return _failure(memory.slug, outcome)
    # Its text and its traceback may quote the memory.
    logger.error("a memory was not saved: unexpected %s", type(outcome).__name__)
    return MemoryFailure(slug=memory.slug, reason=f"unexpected {type(outcome).__name__}", transient=True)


def _failure(slug: str, error: AfterturnError) -> MemoryFailure:
    return MemoryFailure(
        slug=slug,
        reason=str(error),
        field=error.field if isinstance(error, InvalidInputError) else None,
        transient=isinstance(error, TransientError),
        changed=isinstance(error, ChangedMeanwhileError),
        outage=isinstance(error, TransientError) and not isinstance(error, OwnerUnknownError),
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
        field, takes = "memory", first["msg"]
        if first["loc"] and first["loc"][0] in MemoryInput.model_fields:
            field = str(first["loc"][0])
        elif first["type"] == "extra_forbidden":
            # Its name is the caller's own text, and an answer may be kept for a day.
            takes = f"takes {', '.join(MemoryInput.model_fields)}, and nothing else"
        return MemoryFailure(slug=_slug_of(given), field=field, reason=f"{field}: {takes}")
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


def _checked(memory: NewMemory | MemoryFailure) -> NewMemory | MemoryFailure:
    """Refuse what no store can hold. Nobody asserts in the future: it would outlast all that is said until then."""
    if isinstance(memory, MemoryFailure):
        return memory
    try:
        check_memory(memory)
    except InvalidInputError as error:
        return _failure(memory.slug, error)
    return replace(memory, asserted_at=min(memory.asserted_at, datetime.now(UTC)))
