"""Cuts a file into pieces without reading it whole: lines, or the elements of a JSON array.

A piece knows where it begins and ends, so that reading can go on there.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, Literal

Fault = Literal["too_large", "truncated"]

BOM = b"\xef\xbb\xbf"
_CHUNK = 256 * 1024
_BETWEEN = re.compile(rb"[\s,\]]*")
_UNSTRUCTURED = re.compile(rb"[^,{\[\]]*")
_STRUCTURE = re.compile(rb'["{}\[\]]')
# Up to the quote that ends it; a backslash takes whatever follows with it.
_STRING = re.compile(rb'[^"\\]*+(?:\\.[^"\\]*+)*+', re.DOTALL)


@dataclass(frozen=True, slots=True)
class Piece:
    """A line or an element, counted from 1. `raw` is cut short where it is longer than was asked for."""

    number: int
    offset: int
    end: int
    raw: bytes
    fault: Fault | None = None


def lines(file: BinaryIO, start: int, number: int, *, longest: int) -> Iterator[Piece]:
    """Give the lines that hold something, from byte `start`, before which `number` lines stand."""
    file.seek(start)
    offset = start
    while raw := file.readline(longest + 2):
        number += 1
        end = offset + len(raw) + _skip_line(file, raw)
        text = (raw.removeprefix(BOM) if offset == 0 else raw).strip()
        if text:
            yield Piece(number, offset, end, text[:longest], "too_large" if len(text) > longest else None)
        offset = end


def elements(file: BinaryIO, start: int, number: int, *, longest: int, chunk_bytes: int = _CHUNK) -> Iterator[Piece]:
    """Give the elements of a JSON array, or JSON values that follow each other, from byte `start` on.

    Brackets are counted and strings skipped; whether an element is JSON is for the reader to find out. One that the
    file's end cuts off is `truncated`.
    """
    if start == 0:
        file.seek(0)
        start = len(BOM) if file.read(len(BOM)) == BOM else 0
    file.seek(start)
    splitter = _Splitter(start, longest)
    while chunk := file.read(chunk_bytes):
        for offset, end, raw, fault in splitter.feed(chunk):
            number += 1
            yield Piece(number, offset, end, raw, fault)
    for offset, end, raw, fault in splitter.finish():
        yield Piece(number + 1, offset, end, raw, fault)


def _skip_line(file: BinaryIO, raw: bytes) -> int:
    """Pass over the rest of a line that was read in part; answer how long it was."""
    skipped = 0
    while not raw.endswith(b"\n") and (raw := file.readline(_CHUNK)):
        skipped += len(raw)
    return skipped


Found = tuple[int, int, bytes, Fault | None]


class _Splitter:
    """Finds elements in chunks. Of one that is too long only the beginning is kept."""

    def __init__(self, offset: int, longest: int) -> None:
        self._offset = offset
        self._longest = longest
        self._outer = offset <= len(BOM)  # the array's own bracket may still come
        self._begun: int | None = None
        self._kept = bytearray()
        self._depth = 0
        self._structured = False
        self._in_string = False
        self._escaped = False

    def feed(self, chunk: bytes) -> Iterator[Found]:
        here = 0
        while here < len(chunk):
            if self._begun is None:
                here = self._begin(chunk, here)
                continue
            end = self._end(chunk, here)
            self._keep(chunk[here : len(chunk) if end is None else end])
            here = len(chunk) if end is None else end
            if end is not None:
                yield self._close(end, None)
        self._offset += len(chunk)

    def finish(self) -> Iterator[Found]:
        if self._begun is not None:
            yield self._close(0, "truncated" if self._structured else None)

    def _begin(self, chunk: bytes, here: int) -> int:
        between = _BETWEEN.match(chunk, here)
        here = between.end() if between else here
        if here == len(chunk):
            return here
        outer, self._outer = self._outer and chunk[here : here + 1] == b"[", False
        if outer:
            return here + 1
        self._begun = self._offset + here
        self._structured = chunk[here : here + 1] in (b"{", b"[", b'"')
        return here

    def _end(self, chunk: bytes, here: int) -> int | None:
        """Answer where the element ends, or None when it goes on in the next chunk."""
        if not self._structured:
            plain = _UNSTRUCTURED.match(chunk, here)
            end = plain.end() if plain else here
            return end if end < len(chunk) else None
        while here < len(chunk):
            here = self._pass_string(chunk, here) if self._in_string else self._pass_structure(chunk, here)
            if self._depth == 0 and not self._in_string:
                return here
        return None

    def _pass_string(self, chunk: bytes, here: int) -> int:
        if self._escaped:
            self._escaped = False
            here += 1
        rest = _STRING.match(chunk, here)
        here = rest.end() if rest else here
        if here < len(chunk):
            # A quote ends it; a backslash as the chunk's last byte escapes the next one's first.
            self._in_string = chunk[here : here + 1] == b"\\"
            self._escaped = self._in_string
            here += 1
        return here

    def _pass_structure(self, chunk: bytes, here: int) -> int:
        mark = _STRUCTURE.search(chunk, here)
        if mark is None:
            return len(chunk)
        match mark[0]:
            case b'"':
                self._in_string = True
            case b"{" | b"[":
                self._depth += 1
            case _:
                self._depth -= 1
        return mark.end()

    def _keep(self, part: bytes) -> None:
        self._kept += part[: self._longest + 1 - len(self._kept)]

    def _close(self, end: int, fault: Fault | None) -> Found:
        offset, raw = self._begun or 0, bytes(self._kept[: self._longest])
        cut = len(self._kept) > self._longest
        self._begun, self._depth, self._in_string, self._escaped = None, 0, False, False
        self._kept.clear()
        return offset, self._offset + end, raw, "too_large" if cut else fault
