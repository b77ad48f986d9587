"""What the memory API answers. Fields that a newer API adds are left out, so that an older client goes on."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, JsonValue

State = Literal["buffered", "archived", "digested", "quarantined"]
Reached = Literal["archived", "digested"]


class ApiAnswer(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True, hide_input_in_errors=True)


class DerivedMemory(ApiAnswer):
    """A memory that a message bears out; one that is not current was followed by a newer fact."""

    owner_type: str
    owner_id: str
    slug: str
    is_current: bool


class MessageStatus(ApiAnswer):
    """What became of a message: `seq` is its number in the room, `memories` what came of it."""

    message_id: str
    state: State
    seq: int | None = None
    run_id: str | None = None
    memories: tuple[DerivedMemory, ...] = ()


class ContextSummary(ApiAnswer):
    """The conversation so far, made of the messages from `covers_from` to `covers_to`."""

    text: str
    made_by: str
    covers_from: int
    covers_to: int


class ContextMemory(ApiAnswer):
    """A memory, and its source: the version of the slug, and what made it."""

    owner_type: str
    owner_id: str
    slug: str
    kind: str
    text: str
    asserted_at: datetime
    made_by: str
    version_id: str
    score: float


class ContextMessage(ApiAnswer):
    """A message, and its source: its place in the room. One that is buffered has no number yet."""

    seq: int | None
    id: str | None
    role: str
    user_id: str | None = None
    content: str
    sent_at: datetime | None = None
    is_buffered: bool


class Context(ApiAnswer):
    """What to put in front of a model: `markdown` is all of it, in `tokens` tokens; the parts say where it is from."""

    room_id: str
    markdown: str
    tokens: int
    summary: ContextSummary | None = None
    memories: tuple[ContextMemory, ...] = ()
    messages: tuple[ContextMessage, ...] = ()
    strategy: dict[str, float] = {}
    by_meaning: bool = True
    includes_buffered: bool = True


class Memory(ApiAnswer):
    """A statement worth keeping, under its name within its owner."""

    slug: str
    content: str
    kind: str
    metadata: dict[str, JsonValue] = {}
    asserted_at: datetime
    made_by: str
    version_id: str


class MemoryPage(ApiAnswer):
    """Some of an owner's memories; `next_cursor` asks for the next ones."""

    memories: tuple[Memory, ...]
    next_cursor: str | None = None


class Hit(ApiAnswer):
    """A message, a summary or a memory."""

    kind: str
    id: str
    text: str
    happened_at: datetime
    score: float
    room_id: str | None = None
    seq: int | None = None
    role: str | None = None
    slug: str | None = None
    owner_type: str | None = None
    owner_id: str | None = None


class SearchAnswer(ApiAnswer):
    """The best first. Not `by_meaning` where words alone decided, because the model did not answer."""

    hits: tuple[Hit, ...]
    by_meaning: bool = True
