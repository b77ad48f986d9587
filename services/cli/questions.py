"""What the demo searches for."""

import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files

from afterturn_client.messages import Message

_WORD = re.compile(r"[^\W\d_]{4,}")
_QUESTIONS = 3
_WORDS = 4


@dataclass(frozen=True, slots=True)
class Question:
    """`answered_by` are the ids of the messages that answer it: any of them counts as found."""

    text: str
    answered_by: tuple[str, ...]


def sample_questions() -> list[Question]:
    entries = json.loads(files("services.sample").joinpath("questions.json").read_text(encoding="utf-8"))
    return [Question(entry["question"], tuple(entry["answered_by"])) for entry in entries]


def questions_about(messages: Sequence[Message]) -> list[Question]:
    """Ask for some messages, spread over the conversation, by the words that are rarest in it."""
    spread = Counter(word for message in messages for word in set(_words(message)))
    askable = [m for m in messages if m.role == "user" and m.id and len(set(_words(m))) >= _WORDS]
    step = max(len(askable) // _QUESTIONS, 1)
    return [_question(message, spread) for message in askable[step // 2 :: step][:_QUESTIONS]]


def _question(message: Message, spread: Counter[str]) -> Question:
    words = list(dict.fromkeys(_words(message)))
    rarest = sorted(words, key=lambda word: (spread[word], -len(word)))[:_WORDS]
    return Question(" ".join(word for word in words if word in rarest), (message.id or "",))


def _words(message: Message) -> list[str]:
    return [word.lower() for word in _WORD.findall(message.content)]
