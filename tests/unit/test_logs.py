"""Each line of a log as JSON, with the run or the request that it is of."""

import json
import logging
import sys

import pytest
from starlette.types import Message, Receive, Scope, Send
from temporalio.testing import ActivityEnvironment

from services.domain.errors import InvalidInputError
from services.http.request_ids import RequestIds, named
from services.logs import JsonLines, log_to_stderr
from services.worker.tracing import running_step


def record(message: str, *args: object, failed: bool = False) -> logging.LogRecord:
    return logging.LogRecord(
        "services.here", logging.WARNING, "here.py", 1, message, args, sys.exc_info() if failed else None
    )


def test_a_line_is_json_whatever_it_says() -> None:
    line = JsonLines(dict).format(record('two\nlines, "%s" and %s', "quotes", "ñ"))
    assert "\n" not in line
    read = json.loads(line)
    assert read.pop("at").endswith("+00:00")
    assert read == {"level": "WARNING", "logger": "services.here", "message": 'two\nlines, "quotes" and ñ'}


def test_a_traceback_stays_in_its_line() -> None:
    try:
        int("lost")
    except ValueError:
        line = JsonLines(dict).format(record("failed", failed=True))
    assert "\n" not in line
    assert json.loads(line)["traceback"].endswith("'lost'")


def test_a_step_is_named_in_what_it_logs() -> None:
    def step() -> str:
        return JsonLines(running_step).format(record("at work"))

    read = json.loads(ActivityEnvironment().run(step))
    assert (read["workflow_id"], read["run_id"], read["step"]) == ("test", "test-run", "unknown")
    assert "run_id" not in json.loads(JsonLines(running_step).format(record("between steps")))


async def test_a_request_is_named_in_what_is_logged_meanwhile() -> None:
    lines: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        lines.append(JsonLines(named).format(record("asked")))

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    async def send(_: Message) -> None:
        return

    scope: Scope = {"type": "http", "path": "/", "headers": [(b"x-request-id", b"r-1")]}
    await RequestIds(app)(scope, receive, send)
    lines.append(JsonLines(named).format(record("nobody asks")))
    assert [json.loads(line).get("request_id") for line in lines] == ["r-1", None]


def test_an_unknown_form_ends_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOG_FORMAT", "xml")
    with pytest.raises(InvalidInputError, match=r"LOG_FORMAT: takes .*'json'"):
        log_to_stderr()
