"""What the readers of other systems' formats give: a conversation with its messages in our own format."""

from dataclasses import dataclass, field
from typing import NoReturn

from afterturn_client.errors import BadEntryError

Fields = dict[str, object]


@dataclass(frozen=True, slots=True)
class Conversation:
    """`messages` have the fields of docs/conversation_format.md; `started` is a time for those that have none."""

    id: str | None
    messages: list[Fields]
    started: object = field(default=None)


def objects(found: object) -> list[Fields]:
    """Give the objects of a list, whatever else is in it."""
    return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []


def text_or_none(found: object) -> str | None:
    return found if isinstance(found, str) and found else None


def missing(name: str, takes: str) -> NoReturn:
    raise BadEntryError("missing_field", f"{name}: takes {takes}")
