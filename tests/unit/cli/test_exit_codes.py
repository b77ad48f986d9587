import pytest
from afterturn_client.errors import InvalidFieldError, RecordingFailedError
from temporalio.service import RPCError, RPCStatusCode

from services.cli.exit_codes import UnreachableError, explain
from services.domain.errors import InvalidInputError, ModelUnavailableError, TransientError
from services.embedded.errors import PortTakenError


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (InvalidInputError("REDIS_URL", "a URL"), 2, "REDIS_URL: takes a URL"),
        (InvalidFieldError("room_id", "an id"), 2, "room_id: takes an id"),
        (UnreachableError("Redis is away"), 3, "Redis is away"),
        (ModelUnavailableError("no answer"), 3, "no answer"),
        (ModelUnavailableError("overloaded", status=503), 1, "overloaded"),
        (RecordingFailedError("user:42", [], "ConnectionError"), 3, "not acknowledged"),
        (RecordingFailedError("user:42", [], "Redis is full"), 1, "Redis is full"),
        (TransientError("Postgres: UndefinedTableError (42P01)"), 1, "run `afterturn db upgrade`"),
        (PortTakenError(7233, "Temporal", "TEMPORAL_PORT"), 1, "TEMPORAL_PORT"),
        (RPCError("gone", RPCStatusCode.NOT_FOUND, b""), 1, "Temporal answers NOT_FOUND: gone"),
    ],
)
def test_an_error_has_its_code_and_a_line(error: Exception, code: int, words: str) -> None:
    found, line = explain(error)
    assert found == code
    assert words in line
    assert "\n" not in line


def test_a_fault_of_ours_is_told_without_its_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AFTERTURN_TRACEBACK", raising=False)
    with pytest.raises(ValueError, match="user said") as raised:
        raise ValueError("what the user said")
    code, line = explain(raised.value)
    assert code == 1
    assert "ValueError at cli/test_exit_codes.py" in line
    assert "what the user said" not in line
