import hashlib
import json
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

_CANONICAL = json.JSONEncoder(sort_keys=True)


@dataclass(frozen=True, slots=True)
class ArchivedMessage:
    """A message as the archive holds it.

    `seq` counts from 1 in its room, without gaps; `sent_at` is aware. `tool_calls` keeps the producer's own shape.
    """

    room_id: str
    seq: int
    id: str
    role: str
    content: str
    user_id: str | None
    sent_at: datetime
    tool_calls: tuple[dict[str, Any], ...] = field(default=())
    remember: bool = True

    @property
    def speaker(self) -> str:
        return self.role if self.role != "user" else f"user {self.user_id}" if self.user_id else "user"


@dataclass(frozen=True, slots=True)
class NewMessage:
    """A message that is about to be archived. Its sequence number is given out by the archive.

    `forgotten_company` is the one that it named when it came: it still tells a repeated message.
    """

    id: str
    role: str
    content: str
    user_id: str | None
    company_id: str | None
    sent_at: datetime
    tool_calls: tuple[dict[str, Any], ...] = ()
    metadata: dict[str, Any] = field(default_factory=dict)
    remember: bool = True
    forgotten_company: str | None = None

    def fingerprint(self) -> bytes:
        """Tell a repeated message from another one that came under the same id.

        `sent_at` is left out: a producer that repeats a message may stamp it anew.
        """
        company = self.company_id or self.forgotten_company
        said = [self.role, self.content, self.user_id, company, list(self.tool_calls), self.remember]
        return hashlib.sha256(_CANONICAL.encode(said).encode()).digest()


@dataclass(frozen=True, slots=True)
class Rejected:
    """Why an entry of a buffer is no message. `detail` names the field and never quotes content."""

    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class ClaimedEntry:
    """The entry at `position` of a claim, as it came and as it was understood."""

    position: int
    raw: bytes
    read: NewMessage | Rejected
