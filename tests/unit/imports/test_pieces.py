import io
import json
from random import Random
from typing import Any

import pytest

from services.imports.pieces import BOM, Piece, elements, lines

LONGEST = 10_000


def whole(text: bytes, **options: int) -> list[Piece]:
    return list(elements(io.BytesIO(text), 0, 0, longest=LONGEST, **options))


def anything(random: Random, depth: int = 0) -> Any:
    kind = random.random()
    if depth > 3 or kind < 0.4:
        return "".join(random.choice('ab"\\{}[], é\n') for _ in range(random.randrange(12)))
    if kind < 0.6:
        return [anything(random, depth + 1) for _ in range(random.randrange(4))]
    return {anything(random, 9): anything(random, depth + 1) for _ in range(random.randrange(4))}


@pytest.mark.parametrize("chunk_bytes", [1, 2, 3, 7, 64, 100_000])
def test_an_arrays_elements_are_found_wherever_chunks_end(chunk_bytes: int) -> None:
    random = Random(chunk_bytes)
    for _ in range(100):
        values = [{"x": anything(random)} for _ in range(random.randrange(1, 5))] + [random.choice([None, 3, "s", [1]])]
        array = json.dumps(values, indent=random.choice([None, 2]), ensure_ascii=random.random() < 0.5).encode()
        after_each_other = "\n".join(json.dumps(value) for value in values).encode()
        for text in (array, BOM + array, after_each_other):
            found = whole(text, chunk_bytes=chunk_bytes)
            assert [json.loads(piece.raw) for piece in found] == values
            assert [json.loads(text[piece.offset : piece.end]) for piece in found] == values
            assert {piece.fault for piece in found} == {None}


def test_reading_goes_on_after_any_element() -> None:
    text = json.dumps([{"n": number, "t": "]}{["} for number in range(20)], indent=1).encode()
    found = whole(text)
    for piece in found:
        rest = list(elements(io.BytesIO(text), piece.end, piece.number, longest=LONGEST))
        assert rest == found[piece.number :]


def test_an_element_that_the_files_end_cuts_off_is_truncated_and_those_before_it_are_whole() -> None:
    text = json.dumps([{"n": 1}, {"n": "two"}]).encode()
    for cut in range(len(text)):
        found = whole(text[:cut])
        for piece in found:
            assert (piece.fault == "truncated") != (piece.raw in (b'{"n": 1}', b'{"n": "two"}'))


def test_of_an_element_that_is_too_long_the_beginning_is_kept_and_the_next_one_is_found() -> None:
    text = json.dumps(["x" * 50_000, {"n": 1}]).encode()
    long, short = whole(text, chunk_bytes=1_000)
    assert (long.fault, len(long.raw), long.end - long.offset) == ("too_large", LONGEST, 50_002)
    assert (short.fault, short.raw) == (None, b'{"n": 1}')


def test_what_stands_between_elements_is_a_piece_of_its_own() -> None:
    found = whole(b'[{"n": 1}, nonsense, {"n": 2}] and more')
    assert [piece.raw.strip() for piece in found] == [b'{"n": 1}', b"nonsense", b'{"n": 2}', b"and more"]


def test_lines_are_counted_with_the_empty_ones_and_begin_where_they_say() -> None:
    text = BOM + b"first\r\n\n  \nsecond\nlast"
    found = list(lines(io.BytesIO(text), 0, 0, longest=LONGEST))
    assert [(piece.number, piece.raw) for piece in found] == [(1, b"first"), (4, b"second"), (5, b"last")]
    for piece in found:
        rest = list(lines(io.BytesIO(text), piece.end, piece.number, longest=LONGEST))
        assert rest == [other for other in found if other.number > piece.number]
    assert found[-1].end == len(text)


@pytest.mark.parametrize("size", [LONGEST - 1, LONGEST, LONGEST + 1, LONGEST + 2, LONGEST + 3, 10 * LONGEST, 600_000])
@pytest.mark.parametrize("ending", [b"\n", b"\r\n", b""])
def test_a_line_of_any_length_is_one_line(size: int, ending: bytes) -> None:
    text = b"a\n" + b"x" * size + ending
    found = list(lines(io.BytesIO(text + (b"z" if ending else b"")), 0, 0, longest=LONGEST))
    middle = found[1]
    assert (middle.number, middle.offset, middle.end) == (2, 2, len(text))
    assert middle.raw == b"x" * min(size, LONGEST)
    assert (middle.fault == "too_large") == (size > LONGEST)
    assert [piece.raw for piece in found[2:]] == ([b"z"] if ending else [])
