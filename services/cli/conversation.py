"""Reads conversations in the format of docs/conversation_format.md, and plain text; wrong lines are named."""

from collections.abc import Iterable, Iterator
from hashlib import sha256

from afterturn_client.errors import BadEntryError
from afterturn_client.messages import Message, decode_entry
from afterturn_client.rooms import ID_TAKES, user_of_room

from services.domain.errors import InvalidInputError


def read_json_lines(
    lines: Iterable[bytes],
    room_id: str,
    *,
    source: str,
    user_id: str | None = None,
    company_id: str | None = None,
    derive_ids: bool = False,
) -> list[Message]:
    """Read every line, or raise `InvalidInputError` naming the first wrong line and field.

    `user_id` and `company_id` stand where a line names none. With `derive_ids` a message without an id gets one of its
    line, so that reading the same file again gives the same messages.
    """
    messages = []
    for number, line in _filled(lines):
        message = _read(line, f"{source}, line {number}")
        missing: dict[str, object] = {}
        if message.user_id is None and user_id is not None:
            missing["user_id"] = user_id
        if message.company_id is None and company_id is not None:
            missing["company_id"] = company_id
        if message.id is None and derive_ids:
            missing["id"] = f"line-{number}-{sha256(line).hexdigest()[:16]}"
        message = message.model_copy(update=missing)
        _check_speaker(message, room_id, f"{source}, line {number}")
        messages.append(message)
    return messages


def read_text(
    lines: Iterable[bytes], room_id: str, *, source: str, user_id: str | None = None, company_id: str | None = None
) -> list[Message]:
    """Take each line for what the user said."""
    messages = []
    for number, line in _filled(lines):
        place = f"{source}, line {number}"
        try:
            content = line.decode()
        except UnicodeDecodeError:
            raise InvalidInputError(f"{place}: content", "text in UTF-8") from None
        if "\x00" in content:
            raise InvalidInputError(f"{place}: content", "text without NUL characters")
        message = Message(role="user", content=content, user_id=user_id, company_id=company_id)
        _check_speaker(message, room_id, place)
        messages.append(message)
    return messages


def looks_like_json(lines: Iterable[bytes]) -> bool:
    return next((line.startswith(b"{") for _, line in _filled(lines)), False)


def _filled(lines: Iterable[bytes]) -> Iterator[tuple[int, bytes]]:
    for number, line in enumerate(lines, 1):
        if text := line.strip():
            yield number, text


def _read(line: bytes, place: str) -> Message:
    try:
        return decode_entry(line)
    except BadEntryError as error:
        field, _, takes = error.detail.partition(": takes ")
        raise InvalidInputError(f"{place}: {field}", takes) from None


def _check_speaker(message: Message, room_id: str, place: str) -> None:
    if message.role == "user" and message.user_id is None and user_of_room(room_id) is None:
        raise InvalidInputError(f"{place}: user_id", f"{ID_TAKES}; --user gives one to all lines")
