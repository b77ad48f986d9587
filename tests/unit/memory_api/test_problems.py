from afterturn_client.errors import RecordingFailedError
from afterturn_client.messages import new_message

from services.domain.errors import InvalidInputError, TransientError
from services.memory_api.problems import understood, wrong_fields


def test_errors_of_ours_become_problems_with_the_right_status() -> None:
    message = new_message(id="m1", role="user", content="a secret")
    for error, status in (
        (InvalidInputError("slug", "letters"), 422),
        (TransientError("Postgres: away", retry_after=2.5), 503),
        (RecordingFailedError("user:42", [message], "TimeoutError"), 503),
        (ValueError("a secret"), 500),
    ):
        problem = understood(error)
        assert problem.status == status
        assert "a secret" not in str(problem.document())
    assert understood(TransientError("x", retry_after=2.5)).headers == {"Retry-After": "3"}
    assert understood(TransientError("x")).headers == {"Retry-After": "1"}


def test_fields_are_named_as_far_as_they_are_ours() -> None:
    known = frozenset({"body", "messages", "metadata"})
    for loc, place in (
        (("body", "messages", 0, "metadata"), "body.messages[0].metadata"),
        (("body", "messages", 3, "metadata", "a secret"), "body.messages[3].metadata"),
        (("a secret",), "body"),
    ):
        problem = wrong_fields([{"type": "x", "loc": loc, "msg": "Input should be a string"}], known)
        assert problem.document()["errors"][0]["field"] == place
    assert wrong_fields([{"type": "json_invalid", "loc": ("body", 3), "msg": "a secret"}], known).status == 400
