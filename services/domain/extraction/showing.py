"""How a chunk and what is known are shown to a model that is asked for memories: numbers instead of ids."""

from collections.abc import Sequence

from services.domain.extraction.known import KnownMemory
from services.domain.messages import ArchivedMessage
from services.domain.transcripts import day, line, shorten

KNOWN_TOKENS = 60


def usable(messages: Sequence[ArchivedMessage]) -> list[ArchivedMessage]:
    """Give the messages that may be shown and cited: not what must not be remembered, not what a program set up."""
    return [message for message in messages if message.remember and message.role != "system"]


def numbered(messages: Sequence[ArchivedMessage], max_tokens: int) -> str:
    """Show messages under their numbers; a line that a message holds itself cannot pass for one of these."""
    lines: list[str] = []
    today = ""
    for number, message in enumerate(messages, start=1):
        if day(message) != today:
            today = day(message)
            lines.append(today)
        lines.append(f"{number}. " + line(message).replace("\n", "\n   "))
    return shorten("\n".join(lines), max_tokens)


def numbered_known(known: Sequence[KnownMemory]) -> str:
    lines = (
        f"K{number}. {one.slug}: {shorten(' '.join(one.content.split()), KNOWN_TOKENS)}"
        for number, one in enumerate(known, start=1)
    )
    return "\n".join(lines) or "(none)"
