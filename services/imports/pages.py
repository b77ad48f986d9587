"""Reads a file page by page; a cursor says where the next page begins."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from services.imports.said import Format, Said, pieces, said_in

# The same for every page of an import: what a page's messages are must not depend on who reads it.
PAGE_MESSAGES = 200
PAGE_BYTES = 8 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Cursor:
    """A place in a file: a byte, how many pieces stand before it, and how many messages of the next one are done."""

    offset: int = 0
    number: int = 0
    skip: int = 0


@dataclass(frozen=True, slots=True)
class Page:
    """Messages in the file's order, and where to go on after them."""

    said: list[Said]
    after: Cursor


def pages(
    file: BinaryIO, reads: Format, start: Cursor, *, messages: int = PAGE_MESSAGES, size: int = PAGE_BYTES
) -> Iterator[Page]:
    """Give pages of at most so many messages, and of at most so many bytes unless one message has more."""
    page: list[Said] = []
    room, skip, after = size, start.skip, start
    for piece in pieces(file, reads, start.offset, start.number):
        for index, said in enumerate(said_in(piece, reads)[skip:], skip):
            if page and (len(page) >= messages or len(said.raw) > room):
                yield Page(page, Cursor(piece.offset, piece.number - 1, index))
                page, room = [], size
            page.append(said)
            room -= len(said.raw)
        after, skip = Cursor(piece.end, piece.number), 0
    if page:
        yield Page(page, after)
