"""Reads the pieces of a file as messages, whatever the format; what is none carries the reason."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO, Literal, get_args

from afterturn_client.errors import BadEntryError
from afterturn_client.messages import MAX_ENTRY_BYTES, Message, decode_entry

from services.domain.messages import Rejected
from services.imports import chatgpt, claude, locomo
from services.imports.conversations import Conversation, Fields
from services.imports.ids import digest, safe_id
from services.imports.pieces import Piece, elements, lines

Format = Literal["jsonl", "chatgpt", "claude", "locomo"]
FORMATS: tuple[Format, ...] = get_args(Format)
# What of a file is held at once: a line is one message, an element one conversation.
MAX_CONVERSATION_BYTES = 32 * 1024 * 1024
CONVERSATION_FIELD = "conversation_id"

_READERS: dict[str, Callable[[Fields], Conversation]] = {
    "chatgpt": chatgpt.read,
    "claude": claude.read,
    "locomo": locomo.read,
}


@dataclass(frozen=True, slots=True)
class Said:
    """One message of a source, or what stands where one should be.

    `raw` is in our own format where it could be brought into it; `number` counts it in the file (lines) or in its
    conversation, and `place` says that to a person.
    """

    conversation: str | None
    number: int
    place: str
    raw: bytes
    read: Message | Rejected


def pieces(file: BinaryIO, reads: Format, start: int, number: int) -> Iterator[Piece]:
    if reads == "jsonl":
        return lines(file, start, number, longest=MAX_ENTRY_BYTES)
    return elements(file, start, number, longest=MAX_CONVERSATION_BYTES)


def said_in(piece: Piece, reads: Format) -> list[Said]:
    """Read a piece as messages; never raises, whatever it holds."""
    try:
        if reads == "jsonl":
            return [_line(piece)]
        return _conversation(piece, _READERS[reads](load_object(piece)))
    except BadEntryError as error:
        place = f"{'line' if reads == 'jsonl' else 'conversation'} {piece.number} at byte {piece.offset}"
        kept = piece.raw[:MAX_ENTRY_BYTES]
        return [Said(None, piece.number, place, kept, Rejected(error.reason, error.detail))]


def load_object(piece: Piece) -> Fields:
    _check_whole(piece, MAX_CONVERSATION_BYTES)
    try:
        found = json.loads(piece.raw)
    except (ValueError, RecursionError):
        raise BadEntryError("not_json", "conversation: takes JSON in UTF-8") from None
    if not isinstance(found, dict):
        raise BadEntryError("not_an_object", "conversation: takes a JSON object")
    return found


def _check_whole(piece: Piece, longest: int) -> None:
    if piece.fault == "too_large":
        raise BadEntryError("too_large", f"takes at most {longest} bytes, has {piece.end - piece.offset}")
    if piece.fault == "truncated":
        raise BadEntryError("truncated", "the file ends in the middle of it")


def _line(piece: Piece) -> Said:
    _check_whole(piece, MAX_ENTRY_BYTES)
    message = decode_entry(piece.raw)
    metadata = dict(message.metadata)
    name = metadata.pop(CONVERSATION_FIELD, None)
    if isinstance(name, int) and not isinstance(name, bool):
        name = str(name)
    if name is not None and (not isinstance(name, str) or not name):
        raise BadEntryError("wrong_type", f"{CONVERSATION_FIELD}: takes text")
    # A line with a time may stand anywhere; without one, its place is all that tells it from an equal one.
    number = 0 if message.sent_at is not None else piece.number
    read = message.model_copy(update={"metadata": metadata}) if name is not None else message
    return Said(name, number, f"line {piece.number} at byte {piece.offset}", piece.raw, read)


def _conversation(piece: Piece, found: Conversation) -> list[Said]:
    """A message without a time gets that of the one before it, or of the conversation."""
    name = found.id or _unnamed(found)
    said: list[Said] = []
    last: object = found.started
    for number, fields in enumerate(found.messages, 1):
        place = f"conversation {piece.number} at byte {piece.offset}, message {number}"
        raw = _encoded(fields if fields.get("sent_at") is not None else fields | {"sent_at": last})
        try:
            read: Message | Rejected = decode_entry(raw)
        except BadEntryError as error:
            read = Rejected(error.reason, error.detail)
        else:
            last = fields.get("sent_at") or last
        said.append(Said(name, number, place, raw[:MAX_ENTRY_BYTES], read))
    return said


def _encoded(fields: Fields) -> bytes:
    name = fields.get("id")
    given = {key: value for key, value in fields.items() if value not in (None, [], {})}
    # Lone surrogates stay escaped, so that reading it finds them.
    return json.dumps(given | ({"id": safe_id(name)} if isinstance(name, str) else {})).encode()


def _unnamed(found: Conversation) -> str:
    """Name a conversation that has no id by what was said first in it."""
    first = next(iter(found.messages), {})
    return f"unnamed-{digest(json.dumps([found.started, first], sort_keys=True).encode())[:24]}"
