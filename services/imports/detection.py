"""Tells which format a file is in by what its first pieces hold."""

from collections.abc import Iterator
from itertools import islice
from typing import BinaryIO

from afterturn_client.errors import BadEntryError

from services.domain.errors import InvalidInputError
from services.imports import chatgpt, claude, locomo
from services.imports.conversations import Fields
from services.imports.pieces import BOM, Piece
from services.imports.said import CONVERSATION_FIELD, FORMATS, Format, load_object, pieces

_LOOK_AT = 20
_NO_TEXT = {
    b"PK\x03\x04": "an unpacked file: this is a zip archive, whose conversations.json can be imported",
    b"\x1f\x8b": "an unpacked file: this one is compressed",
    b"\xff\xfe": "text in UTF-8, not UTF-16",
    b"\xfe\xff": "text in UTF-8, not UTF-16",
}


def detect(file: BinaryIO) -> Format:
    """Answer the format; raise `InvalidInputError` for a file that is empty, no text, or in none of them."""
    check_text(file)
    for found in _first_objects(file):
        if reads := _format_of(found):
            return reads
    raise InvalidInputError("format", f"{', '.join(FORMATS)}: what the file begins with is none of them")


def check_text(file: BinaryIO) -> None:
    file.seek(0)
    head = file.read(1024)
    for mark, takes in _NO_TEXT.items():
        if head.startswith(mark):
            raise InvalidInputError("source", takes)
    if not head.removeprefix(BOM).strip():
        raise InvalidInputError("source", "a file with at least one message")
    if b"\x00" in head:
        raise InvalidInputError("source", "text in UTF-8")


def names_conversations(file: BinaryIO) -> bool:
    """Tell whether the first lines that can be read say which conversation they belong to."""
    return any(found.get(CONVERSATION_FIELD) not in (None, "") for found in _objects(pieces(file, "jsonl", 0, 0)))


def _first_objects(file: BinaryIO) -> Iterator[Fields]:
    """Lines first, unless it is an array: that may be one line of any length."""
    file.seek(0)
    if not file.read(1024).removeprefix(BOM).lstrip().startswith(b"["):
        yield from filter(_is_message, _objects(pieces(file, "jsonl", 0, 0)))
    yield from _objects(pieces(file, "chatgpt", 0, 0))


def _objects(found: Iterator[Piece]) -> Iterator[Fields]:
    for piece in islice(found, _LOOK_AT):
        try:
            yield load_object(piece)
        except BadEntryError:
            continue


def _format_of(found: Fields) -> Format | None:
    if _is_message(found):
        return "jsonl"
    if chatgpt.is_conversation(found):
        return "chatgpt"
    if claude.is_conversation(found):
        return "claude"
    return "locomo" if locomo.is_conversation(found) else None


def _is_message(found: Fields) -> bool:
    return isinstance(found.get("role"), str) and ("content" in found or "tool_calls" in found)
