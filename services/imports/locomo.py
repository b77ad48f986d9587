"""LoCoMo's format: two people's sessions, each with the time at which it began."""

import re
from datetime import UTC, datetime

from services.imports.conversations import Conversation, Fields, missing, objects, text_or_none
from services.imports.ids import safe_id

_SESSION = re.compile(r"session_(\d+)")
_TIME = "%I:%M %p on %d %B, %Y"


def is_conversation(found: Fields) -> bool:
    return bool(_sessions(_talk(found)))


def read(found: Fields) -> Conversation:
    """Give all sessions in their order; both speakers are users, known by the conversation and their names."""
    talk, name = _talk(found), text_or_none(found.get("sample_id"))
    sessions = _sessions(talk)
    if not sessions:
        missing("session_1", "a list of messages")
    messages = [
        _message(turn, name, _time(talk.get(f"{session}_date_time")))
        for session in sessions
        for turn in objects(talk[session])
    ]
    return Conversation(name, [message for message in messages if message["content"]])


def _talk(found: Fields) -> Fields:
    inner = found.get("conversation")
    return inner if isinstance(inner, dict) else found


def _sessions(talk: Fields) -> list[str]:
    numbers = {
        name: int(match[1])
        for name, value in talk.items()
        if (match := _SESSION.fullmatch(name)) and isinstance(value, list)
    }
    return sorted(numbers, key=lambda name: numbers[name])


def _message(turn: Fields, conversation: str | None, sent_at: str | None) -> Fields:
    speaker = text_or_none(turn.get("speaker")) or "unknown"
    said, image = text_or_none(turn.get("text")) or "", text_or_none(turn.get("blip_caption"))
    fields: Fields = {
        "role": "user",
        "content": f"{said}\n[image: {image}]".strip() if image else said,
        "user_id": safe_id(f"{conversation}:{speaker}" if conversation else speaker),
        "sent_at": sent_at,
    }
    name = text_or_none(turn.get("dia_id"))
    return fields | {"id": name} if name else fields


def _time(found: object) -> str | None:
    """Read `1:56 pm on 8 May, 2023`; it names no zone, so it is taken as UTC."""
    try:
        return datetime.strptime(str(found), _TIME).replace(tzinfo=UTC).isoformat()
    except ValueError:
        return None
