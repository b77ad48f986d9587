from dataclasses import dataclass, replace
from datetime import datetime

from services.domain.ids import message_uid
from services.domain.memories import Kind, MadeBy, NewMemory, Owner
from services.domain.messages import ArchivedMessage


@dataclass(frozen=True, slots=True)
class Decision:
    """A memory to save, with the messages that bear it out; without `content` it is no longer true."""

    owner: Owner
    slug: str
    kind: Kind
    content: str | None
    made_by: MadeBy
    sources: tuple[ArchivedMessage, ...]

    @property
    def asserted_at(self) -> datetime:
        return max(message.sent_at for message in self.sources)

    def memory(self, prompt_version: str, model: str, *, run_id: str, not_after: datetime) -> NewMemory:
        """Give what is saved. Nobody asserts after `not_after`, whatever a producer's clock says."""
        return NewMemory(
            slug=self.slug,
            content=self.content,
            asserted_at=min(self.asserted_at, not_after),
            kind=self.kind,
            made_by=self.made_by,
            sources=tuple(message_uid(message.room_id, message.id) for message in self.sources),
            prompt_version=prompt_version,
            model=model,
            run_id=run_id,
        )


def joined(one: Decision, other: Decision) -> Decision:
    """Make one memory of two that one message says of one thing."""
    if one.content is None or other.content is None or other.content == one.content:
        return other if one.content is None else one
    addition = other.content.removeprefix(f"{other.sources[0].speaker}: ")
    sources = tuple(dict.fromkeys(message.seq for message in (*one.sources, *other.sources)))
    by_seq = {message.seq: message for message in (*one.sources, *other.sources)}
    return replace(one, content=f"{one.content} {addition}", sources=tuple(by_seq[seq] for seq in sources))
