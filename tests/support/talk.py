"""Messages of made-up conversations for tests that need no server."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from services.domain.messages import ArchivedMessage

BEGAN = datetime(2026, 3, 2, 9, tzinfo=UTC)


def talk(*said: str, user_id: str = "42", room_id: str = "room:a") -> list[ArchivedMessage]:
    """Make messages a minute apart, each as in `user: Hello`, `user 43: Hello`, `assistant: Hi`, `tool: {}`."""
    return [_message(number, line, user_id, room_id) for number, line in enumerate(said, start=1)]


def contents(messages: Sequence[ArchivedMessage]) -> list[str]:
    return [message.content for message in messages]


def _message(number: int, line: str, user_id: str, room_id: str) -> ArchivedMessage:
    speaker, _, content = line.partition(": ")
    role, _, named = speaker.partition(" ")
    return ArchivedMessage(
        room_id=room_id,
        seq=number,
        id=str(number),
        role=role,
        content=content,
        user_id=named or user_id,
        sent_at=BEGAN + timedelta(minutes=number),
    )
