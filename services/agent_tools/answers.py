"""What each tool answers."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, Field

from services.domain.memories import Change, Kind, MadeBy, OwnerType


class FoundMemory(BaseModel):
    slug: str
    kind: Kind
    text: str
    asserted_at: datetime = Field(description="When it was said.")
    made_by: MadeBy = Field(description="Who worded it: a model, the messages themselves, a caller, or a database row.")
    score: float = Field(description="How well it fits the query, up to 1.4.")


class FoundMemories(BaseModel):
    memories: list[FoundMemory] = Field(description="The best first; empty where nothing fits.")
    by_meaning: bool = Field(description="False where the embedding model was away and words alone decided.")


class MemorySaved(BaseModel):
    slug: str
    outcome: Change = Field(description="`unchanged` where it said so already, `earlier` where a newer fact stands.")


class MemoryEnded(BaseModel):
    slug: str
    outcome: Literal["ended"] = Field(description="It is no longer true. What it said stays in its history.")


class SummarySource(BaseModel):
    covers_from: int = Field(description="The number of the first message that it is about.")
    covers_to: int


class MemorySource(BaseModel):
    about: OwnerType
    slug: str
    kind: Kind
    asserted_at: datetime


class MessageSource(BaseModel):
    id: str | None
    seq: int | None = Field(description="Its number in the room; null while it is still buffered.")
    role: str


class ContextGathered(BaseModel):
    """`markdown` is what to read; the rest says where each piece of it comes from."""

    room_id: str
    markdown: str
    tokens: int = Field(description="How many tokens `markdown` takes at the most.")
    summary: SummarySource | None
    memories: list[MemorySource]
    messages: list[MessageSource]
    includes_buffered: bool = Field(description="False where the newest messages could not be read.")


KeptBy = Literal["application", "agent"]


class ShownValue(BaseModel):
    value: str = Field(description="The text that was stored, or its JSON where it is no text.")
    is_cut: bool = Field(description="True where it is longer than what is shown: get_fact shows more than a search.")
    kept_by: KeptBy = Field(description="Who stored it: the application, or an agent by these tools.")


class FoundFact(ShownValue):
    key: str
    score: float = Field(description="How well it fits the query, up to 1.")


class FoundFacts(BaseModel):
    facts: list[FoundFact] = Field(description="The best first; empty where nothing fits.")


class KeptValue(ShownValue):
    kept_at: datetime


class KeptValues(BaseModel):
    key: str
    values: list[KeptValue] = Field(
        description="What is kept under the key; empty where nothing is. Of two the application's is first, and holds."
    )


class ValueKept(BaseModel):
    key: str
    outcome: Literal["created", "replaced", "unchanged"] = Field(description="`unchanged` where it was kept already.")
