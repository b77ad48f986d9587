"""Conversations with questions about them, in the format of the LoCoMo data set."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from services.domain.errors import InvalidInputError

# Category 5 asks for what was never said: there is nothing to find.
CATEGORIES = {1: "multi_hop", 2: "temporal", 3: "open_domain", 4: "single_hop"}
_WRITTEN = "%I:%M %p on %d %B, %Y"
_PLACE = re.compile(r"D:?(\d+):(\d+)")
_BETWEEN_MESSAGES = timedelta(minutes=1)
FieldT = TypeVar("FieldT")


@dataclass(frozen=True, slots=True)
class Said:
    id: str
    speaker: str
    text: str
    sent_at: datetime


@dataclass(frozen=True, slots=True)
class Asked:
    """`evidence` are the ids of the messages that answer the question, one at least."""

    text: str
    category: str
    evidence: frozenset[str]


@dataclass(frozen=True, slots=True)
class Conversation:
    name: str
    messages: tuple[Said, ...]
    questions: tuple[Asked, ...]


def read_locomo(document: object, source: str) -> list[Conversation]:
    """Read a data set from `source`. Questions whose evidence is nowhere in the conversation are left out.

    A session has one time: its messages are taken to be a minute apart. Pictures are left out. Raises
    `InvalidInputError` naming what is not as it should be.
    """
    if not isinstance(document, Sequence) or isinstance(document, str):
        raise InvalidInputError(source, "a list of conversations")
    return [_conversation(entry, f"{source}, conversation {number}") for number, entry in enumerate(document, start=1)]


def _conversation(entry: object, place: str) -> Conversation:
    try:
        sessions = _field(entry, "conversation", dict)
        messages = tuple(message for number in _sessions(sessions) for message in _session(sessions, number))
        known = {message.id for message in messages}
        questions = _questions(_field(entry, "qa", list), known)
        return Conversation(_field(entry, "sample_id", str), messages, tuple(questions))
    except (KeyError, TypeError, ValueError) as error:
        # What it says may quote the file.
        raise InvalidInputError(place, f"the fields of a LoCoMo conversation ({type(error).__name__})") from None


def _sessions(sessions: Mapping[str, object]) -> list[int]:
    found = (re.fullmatch(r"session_(\d+)", name) for name in sessions)
    return sorted(int(match[1]) for match in found if match)


def _session(sessions: Mapping[str, object], number: int) -> Iterable[Said]:
    name = f"session_{number}"
    began = datetime.strptime(_field(sessions, f"{name}_date_time", str), _WRITTEN).replace(tzinfo=UTC)
    for index, message in enumerate(_field(sessions, name, list)):
        text, speaker = _field(message, "text", str), _field(message, "speaker", str)
        yield Said(_field(message, "dia_id", str), speaker, text, began + index * _BETWEEN_MESSAGES)


def _questions(entries: Iterable[object], known: set[str]) -> Iterable[Asked]:
    for entry in entries:
        category = CATEGORIES.get(_field(entry, "category", int))
        if category is None:
            continue
        named = _PLACE.findall(" ".join(_field(entry, "evidence", list)))
        evidence = frozenset(f"D{int(session)}:{int(number)}" for session, number in named) & known
        if evidence:
            yield Asked(_field(entry, "question", str), category, evidence)


def _field(entry: object, name: str, kind: type[FieldT]) -> FieldT:
    value = entry[name] if isinstance(entry, Mapping) else None
    if not isinstance(value, kind):
        raise TypeError(name)
    return value
