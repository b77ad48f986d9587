import json
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from services.llm_proxy.fast_json import NumbersResponse, parse_json

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


def rendered(content: object) -> bytes:
    return bytes(NumbersResponse(content).body)


@settings(deadline=None, database=None)
@given(values)
@example({"model": "\ud800", "data": [{"embedding": [1e-7, -0.0, 5e-324, 1.7976931348623157e308]}]})
@example({"model": "NaN", "data": [{"embedding": [0.1, "Infinity"]}]})
def test_what_is_written_reads_as_it_was(content: Any) -> None:
    assert rendered(content).isascii()
    assert repr(json.loads(rendered(content))) == repr(content)
    assert repr(parse_json(rendered(content))) == repr(content)
    assert repr(parse_json(json.dumps(content, ensure_ascii=True).encode())) == repr(content)


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_what_is_no_number_is_not_answered(number: float) -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        rendered({"data": [{"embedding": [0.5, number]}]})


@pytest.mark.parametrize(
    "data", [b"NaN", b"[Infinity]", b'{"ignored": -Infinity}', b"", b"{", b'"\xff"', b"[1,]", b"01"]
)
def test_what_is_no_json_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        parse_json(data)


@pytest.mark.parametrize(
    ("data", "read"),
    [
        (b'\xef\xbb\xbf{"data": []}', {"data": []}),
        (b'{"content": "\\ud83d"}', {"content": "\ud83d"}),
        (b'{"a": 1, "a": 2}', {"a": 2}),
        (b"[" * 400 + b"]" * 400, json.loads("[" * 400 + "]" * 400)),
    ],
    ids=["byte order mark", "half a character", "the last one counts", "deep"],
)
def test_what_others_write_is_read(data: bytes, read: object) -> None:
    assert parse_json(data) == read
