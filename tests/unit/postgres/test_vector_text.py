import json

from hypothesis import example, given, settings
from hypothesis import strategies as st
from sqlalchemy.engine.default import DefaultDialect

from services.postgres.vector_type import Vector, vector_text

numbers = st.lists(st.floats(allow_nan=False, allow_infinity=False))


@settings(deadline=None, database=None)
@given(numbers)
@example([1e-7, -0.0, 5e-324, 1.7976931348623157e308, 1e16, 0.1])
def test_every_number_reads_back_as_it_was(vector: list[float]) -> None:
    text = vector_text(vector)
    assert [part.hex() for part in json.loads(text)] == [part.hex() for part in vector]
    assert text == vector_text(tuple(vector))


def test_a_column_takes_a_vector_or_none() -> None:
    write = Vector(3).bind_processor(DefaultDialect())
    assert write([0.5, 1e-7, 2.0]) == "[0.5,1e-7,2.0]"
    assert write(None) is None
