"""Decides which room a message of a source belongs to, whose it is, and by which id it is known."""

from dataclasses import dataclass, replace
from datetime import datetime

from afterturn_client.messages import Message
from afterturn_client.rooms import user_of_room

from services.domain.ids import message_id
from services.domain.messages import ClaimedEntry, NewMessage, Rejected
from services.imports.ids import content_source, safe_id
from services.imports.said import CONVERSATION_FIELD, Format, Said

_ROOM, _USER = "room:", "user:"
# What fits behind `room:`.
_LONGEST_NAME = 195


@dataclass(frozen=True, slots=True)
class Placed:
    """A message with its room. `source` names it by its content: its place in quarantine, if it comes to that."""

    room_id: str | None
    entry: ClaimedEntry
    source: str
    place: str


@dataclass(frozen=True, slots=True)
class Target:
    """Where messages go: all into `room_id`, else each conversation into a room of its own."""

    reads: Format
    room_id: str | None = None
    room_prefix: str | None = None
    user_id: str | None = None
    company_id: str | None = None

    def room_of(self, conversation: str | None) -> str | None:
        """What names no conversation goes into the person's own room."""
        if self.room_id is not None:
            return self.room_id
        if conversation is not None:
            return _ROOM + safe_id(self._prefix + conversation, _LONGEST_NAME)
        return _USER + self.user_id if self.user_id is not None else None

    @property
    def _prefix(self) -> str:
        if self.room_prefix is not None:
            return self.room_prefix
        return "" if self.reads == "jsonl" else f"{self.reads}:"

    def place(self, said: Said, now: datetime) -> Placed:
        """`now` is for a message whose source knows no time."""
        source = content_source(said.conversation, said.raw)
        room_id = self.room_of(said.conversation)
        read: NewMessage | Rejected
        if isinstance(said.read, Rejected):
            read = said.read
        elif room_id is None:
            read = Rejected("missing_field", f"{CONVERSATION_FIELD}: takes text, where no room and no person is given")
        else:
            read = self._complete(said.read, room_id, message_id(source, said.number), now)
        if isinstance(read, Rejected):
            room_id = None if said.conversation is None and self.room_id is None else room_id
            read = replace(read, detail=f"{said.place}: {read.detail}")
        return Placed(room_id, ClaimedEntry(said.number, said.raw, read), source, said.place)

    def _complete(self, message: Message, room_id: str, fallback_id: str, now: datetime) -> NewMessage:
        return NewMessage(
            id=message.id or fallback_id,
            role=message.role,
            content=message.content,
            user_id=message.user_id or self.user_id or user_of_room(room_id),
            company_id=message.company_id or self.company_id,
            sent_at=message.sent_at or now,
            tool_calls=tuple(message.tool_calls),
            metadata=message.metadata,
            remember=message.remember,
        )
