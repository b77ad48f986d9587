"""What a caller may say besides its question."""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal, TypedDict


class Strategy(TypedDict, total=False):
    """How a context's budget is shared, and which memories come first; the answer says what was left to the API.

    Shares are relative to each other. A memory's value is `relevance_weight` times its score in the search, plus
    `recency_weight` times its freshness, which halves every `half_life_days`.
    """

    summary_share: float
    memories_share: float
    messages_share: float
    relevance_weight: float
    recency_weight: float
    half_life_days: float
    max_memories: int
    max_messages: int


class ContextOptions(TypedDict, total=False):
    """`query` is what the memories should help with: the last question, if left out.

    A person and a company may be named whose memories count besides those of the room's owner.
    """

    query: str | None
    token_budget: int
    user_id: str | None
    company_id: str | None
    strategy: Strategy | None


class SearchOptions(TypedDict, total=False):
    """Where to search; without an owner everything that the API key sees is searched. Times need an offset."""

    user_id: str | None
    company_id: str | None
    room_id: str | None
    kinds: Sequence[Literal["message", "summary", "episodic", "semantic", "procedural"]]
    since: datetime | None
    until: datetime | None
    as_of: datetime | None
    limit: int


class MemoriesOptions(TypedDict, total=False):
    """Exactly one of the owners; `cursor` is the last page's `next_cursor`."""

    user_id: str | None
    company_id: str | None
    limit: int
    cursor: str | None
