"""`POST /v1/context`: what to put in front of a model."""

from dataclasses import asdict
from datetime import datetime
from typing import Any, Literal, Self
from uuid import UUID

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field, JsonValue, model_validator

from services.credential import Credential
from services.domain.context_packing import Strategy
from services.domain.memories import Kind, MadeBy, Owner, owner_of
from services.memories.context import LEAST_BUDGET, MOST_BUDGET, Context, ContextMemory, Shown
from services.memory_api.api import Api
from services.memory_api.documented import problems
from services.memory_api.fields import Id, RoomId, Text
from services.memory_api.guard import ApiParam, Reader
from services.memory_api.routes.rooms import SummaryOut

router = APIRouter(prefix="/v1", tags=["Context"])
_DEFAULT = Strategy()
_MARKDOWN: dict[str, Any] = {"text/markdown": {"schema": {"type": "string"}}}


class StrategyIn(BaseModel):
    """How the budget is shared, and which memories come first. What is left out is as in the answer's `strategy`.

    Shares are relative to each other; what one part does not need goes to the others. A memory's value is
    `relevance_weight` times its score in the search, plus `recency_weight` times its freshness, which halves every
    `half_life_days`.
    """

    model_config = ConfigDict(extra="forbid")

    summary_share: float = Field(_DEFAULT.summary_share, ge=0, le=1)
    memories_share: float = Field(_DEFAULT.memories_share, ge=0, le=1)
    messages_share: float = Field(_DEFAULT.messages_share, ge=0, le=1)
    relevance_weight: float = Field(_DEFAULT.relevance_weight, ge=0, le=100)
    recency_weight: float = Field(_DEFAULT.recency_weight, ge=0, le=100)
    half_life_days: float = Field(_DEFAULT.half_life_days, ge=0.01, le=100_000)
    max_memories: int = Field(_DEFAULT.max_memories, ge=0, le=200)
    max_messages: int = Field(_DEFAULT.max_messages, ge=0, le=200)

    @model_validator(mode="after")
    def _something_is_shown(self) -> Self:
        if self.summary_share + self.memories_share + self.messages_share <= 0:
            raise ValueError("takes a share above 0")
        return self


class ContextIn(BaseModel):
    model_config = ConfigDict(extra="forbid")

    room_id: RoomId
    query: Text | None = Field(
        None,
        min_length=1,
        max_length=4_000,
        description="What the memories should help with; the last question if left out.",
    )
    token_budget: int = Field(1_500, ge=LEAST_BUDGET, le=MOST_BUDGET, description="How many tokens it may take.")
    user_id: Id | None = Field(None, description="A person whose memories count besides those of the room's owner.")
    company_id: Id | None = Field(None, description="A company whose memories count besides those of the room's owner.")
    strategy: StrategyIn = StrategyIn()


class MemoryShown(BaseModel):
    """A memory, and its source: the version of the slug, and what made it."""

    owner_type: Literal["user", "company"]
    owner_id: UUID
    slug: str
    kind: Kind
    text: str
    asserted_at: datetime
    made_by: MadeBy
    version_id: UUID
    score: float = Field(description="What the search gave it; 0 where it was taken because it is new.")
    value: float = Field(description="What put it in its place.")


class MessageShown(BaseModel):
    """A message, and its source: its place in the room. One that is buffered has no number yet."""

    room_id: str
    seq: int | None
    id: str | None
    role: str
    user_id: str | None
    content: str
    tool_calls: list[dict[str, JsonValue]]
    sent_at: datetime | None
    is_buffered: bool
    is_shortened: bool = Field(description="Whether the Markdown holds its head and tail only.")


class SummaryShown(SummaryOut):
    is_shortened: bool


class ContextOut(BaseModel):
    """`markdown` is the whole of it, in `tokens` tokens at the most; the parts say where each piece comes from."""

    room_id: str
    markdown: str
    tokens: int
    token_budget: int
    summary: SummaryShown | None
    memories: list[MemoryShown]
    messages: list[MessageShown]
    strategy: StrategyIn
    by_meaning: bool = Field(description="False where the memories were searched by words alone, or not at all.")
    includes_buffered: bool = Field(description="False where Redis was away.")


@router.post(
    "/context",
    response_model=ContextOut,
    responses={200: {"content": _MARKDOWN}, **problems(404, 413)},
    summary="Gather what to put in front of a model",
)
async def context(body: ContextIn, request: Request, api: ApiParam, caller: Reader) -> ContextOut | Response:
    """Give the summary, the memories that matter and the last messages, those still buffered included, within a budget.

    With `Accept: text/markdown` the Markdown alone is answered.
    """
    await api.access.room_or_new(caller, body.room_id)
    built = await api.resources.context.build(
        body.room_id,
        query=body.query,
        token_budget=body.token_budget,
        owners=await _owners(api, caller, body),
        strategy=Strategy(**body.strategy.model_dump()),
        tenant=caller.tenant,
    )
    if request.headers.get("Accept", "").startswith("text/markdown"):
        return Response(built.markdown, media_type="text/markdown")
    return _context(built, body)


async def _owners(api: Api, caller: Credential, body: ContextIn) -> list[Owner]:
    """Name whose memories count: those asked for, and the credential's own person."""
    named = [
        *([owner_of("user", body.user_id)] if body.user_id is not None else []),
        *([owner_of("company", body.company_id)] if body.company_id is not None else []),
    ]
    for owner in named:
        await api.access.owner(caller, owner)
    return [*named, *([caller.person] if caller.person else [])]


def _context(built: Context, body: ContextIn) -> ContextOut:
    summary = None
    if built.summary:
        summary = SummaryShown(**asdict(built.summary), is_shortened=built.summary_is_shortened)
    return ContextOut(
        room_id=built.room_id,
        markdown=built.markdown,
        tokens=built.tokens,
        token_budget=body.token_budget,
        summary=summary,
        memories=[_memory(memory) for memory in built.memories],
        messages=[_message(shown) for shown in built.messages],
        strategy=body.strategy,
        by_meaning=built.by_meaning,
        includes_buffered=built.includes_buffered,
    )


def _memory(memory: ContextMemory) -> MemoryShown:
    return MemoryShown(
        owner_type=memory.owner.type,
        owner_id=memory.owner.id,
        slug=memory.slug,
        kind=memory.kind,
        text=memory.text,
        asserted_at=memory.asserted_at,
        made_by=memory.made_by,
        version_id=memory.version_id,
        score=memory.score,
        value=memory.value,
    )


def _message(shown: Shown) -> MessageShown:
    message = shown.message
    return MessageShown(
        room_id=message.room_id,
        seq=message.seq,
        id=message.id,
        role=message.role,
        user_id=message.user_id,
        content=message.content,
        tool_calls=list(message.tool_calls),
        sent_at=message.sent_at,
        is_buffered=message.is_buffered,
        is_shortened=shown.is_shortened,
    )
