"""A turn as messages, each with the id, the time and the person that it needs."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, TypedDict
from uuid import uuid4

from afterturn_client.errors import InvalidFieldError
from afterturn_client.messages import Message, new_message
from afterturn_client.rooms import check_id, check_room_id, user_of_room

_LONGEST_TURN_ID = 190


class TurnParts(TypedDict, total=False):
    """What a turn may have besides what the user said.

    `assistant` is the reply, `tool_calls` what was called on the way to it. `user_id` is who spoke, and may be left out
    in a person's own room only. The messages' ids come from `turn_id`, so that recording the same turn again is safe.
    `sent_at` is now where it is left out. With `remember` false the turn is archived and no memory is made of it.
    """

    assistant: str | None
    tool_calls: Sequence[Mapping[str, Any]] | None
    user_id: str | None
    company_id: str | None
    turn_id: str | None
    sent_at: datetime | None
    metadata: Mapping[str, Any] | None
    remember: bool


def turn_messages(room_id: str, user: str, parts: TurnParts) -> list[Message]:
    """Return the user's message and, if there is one, the reply; raise `InvalidFieldError` where a part is wrong."""
    check_room_id(room_id)
    turn = _turn_id(parts.get("turn_id"))
    shared = {
        "user_id": _speaker(room_id, parts.get("user_id")),
        "company_id": parts.get("company_id"),
        "sent_at": parts.get("sent_at") or datetime.now(UTC),
        "metadata": dict(parts.get("metadata") or {}),
        "remember": parts.get("remember", True),
    }
    messages = [new_message(id=f"{turn}:user", role="user", content=user, **shared)]
    assistant, tool_calls = parts.get("assistant"), parts.get("tool_calls")
    if assistant is not None or tool_calls:
        reply = {"content": assistant, "tool_calls": tuple(dict(call) for call in tool_calls or ())}
        messages.append(new_message(id=f"{turn}:assistant", role="assistant", **reply, **shared))
    return messages


def completed(room_id: str, messages: Sequence[Message]) -> list[Message]:
    """Give each message the id, the time and the person that it lacks."""
    check_room_id(room_id)
    if not messages:
        raise InvalidFieldError("messages", "at least one")
    now = datetime.now(UTC)
    return [_completed(room_id, message, now) for message in messages]


def _completed(room_id: str, message: Message, now: datetime) -> Message:
    missing: dict[str, object] = {}
    if message.id is None:
        missing["id"] = uuid4().hex
    if message.sent_at is None:
        missing["sent_at"] = now
    if message.user_id is None and (message.role == "user" or user_of_room(room_id)):
        missing["user_id"] = _speaker(room_id, None)
    return message.model_copy(update=missing) if missing else message


def _turn_id(given: str | None) -> str:
    if given is None:
        return uuid4().hex
    check_id("turn_id", given)
    if len(given) > _LONGEST_TURN_ID:
        raise InvalidFieldError("turn_id", f"at most {_LONGEST_TURN_ID} characters")
    return given


def _speaker(room_id: str, user_id: str | None) -> str:
    known = user_id if user_id is not None else user_of_room(room_id)
    if known is None:
        raise InvalidFieldError("user_id", "the id of the person who speaks, as the room is nobody's own")
    return known
