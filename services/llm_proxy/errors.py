"""What goes wrong in the proxy, and the answer that the caller gets: OpenAI's error shape with the right status."""

import json
import logging
import math
import re
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from services.domain.errors import AfterturnError
from services.http.json_response import AsciiJSONResponse

logger = logging.getLogger(__name__)

_TYPES = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}
# Delta seconds or an HTTP date; anything else from an upstream must not become a header of ours.
_RETRY_AFTER = re.compile(r"[A-Za-z0-9 ,:.+-]{1,40}", re.ASCII)


class ProxyError(AfterturnError):
    """The proxy answers with an error.

    `message` may be an upstream's own words and so quote the request: it goes to the caller, never to a log; the
    exception's text holds the status and the code only.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        kind: str | None = None,
        param: str | None = None,
        code: str | None = None,
        retry_after: str | None = None,
    ) -> None:
        super().__init__(f"status {status}, {code or kind or 'no code'}")
        self.status = status
        self.message = message
        self.kind = kind or _TYPES.get(status, "server_error" if status >= 500 else "invalid_request_error")  # noqa: PLR2004
        self.param = param
        self.code = code
        self.retry_after = retry_after

    def body(self) -> dict[str, Any]:
        error = {"message": self.message, "type": self.kind, "param": self.param, "code": self.code}
        return {"error": error}

    def headers(self) -> dict[str, str]:
        return {"Retry-After": self.retry_after} if self.retry_after else {}


def unreachable(upstream: str) -> ProxyError:
    return ProxyError(502, f"Upstream {upstream} cannot be reached.", code="upstream_unreachable")


def late(upstream: str, seconds: float) -> ProxyError:
    return ProxyError(504, f"Upstream {upstream} did not answer within {seconds:g} s.", code="upstream_timeout")


def broken(upstream: str, what: str) -> ProxyError:
    return ProxyError(502, f"Upstream {upstream} {what}.", code="upstream_bad_response")


def unknown_model(model: str) -> ProxyError:
    return ProxyError(404, f"The model '{model}' does not exist here.", param="model", code="model_not_found")


def refused_field(param: str, message: str) -> ProxyError:
    return ProxyError(400, f"{param}: {message}", param=param, code="invalid_value")


def bad_request(found: Sequence[Any]) -> ProxyError:
    """Name the first wrong field that Pydantic found; its value is not quoted."""
    first = found[0]
    if first["type"] == "json_invalid":
        return not_json()
    where = [part for part in first["loc"] if part != "body"]
    param = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in where).lstrip(".")
    return refused_field(param or "body", first["msg"])


def not_json() -> ProxyError:
    return ProxyError(400, "The body is not valid JSON.", code="invalid_json")


def internal() -> ProxyError:
    return ProxyError(500, "The proxy failed.", code="internal_error")


def circuit_open(upstream: str, seconds: float) -> ProxyError:
    message = f"Upstream {upstream} has failed repeatedly and is left alone for a while."
    return ProxyError(503, message, code="circuit_open", retry_after=_in(seconds))


def too_many_waiting(name: str, seconds: float) -> ProxyError:
    message = f"Too many requests are waiting for {name}."
    return ProxyError(429, message, code="queue_full", retry_after=_in(seconds))


def waited_too_long(name: str, seconds: float) -> ProxyError:
    message = f"Other requests kept {name} busy for too long."
    return ProxyError(503, message, code="queue_timeout", retry_after=_in(seconds))


def over_budget(seconds: float) -> ProxyError:
    return ProxyError(429, "The tenant's budget is used up.", code="over_budget", retry_after=_in(seconds))


def wrong_key() -> ProxyError:
    return ProxyError(401, "No API key, or a wrong one.", code="invalid_api_key")


def _in(seconds: float) -> str:
    return str(max(1, math.ceil(seconds)))


def from_answer(upstream: str, status: int, body: bytes, retry_after: str | None) -> ProxyError:
    """Read an upstream's answer that is not a 200; its status and `Retry-After` are kept."""
    if status < 400:  # noqa: PLR2004
        return broken(upstream, f"answered with the status {status}")
    if retry_after is not None and not _RETRY_AFTER.fullmatch(retry_after):
        retry_after = None
    try:
        error = json.loads(body).get("error")
    except (ValueError, AttributeError):
        error = None
    return _reported(upstream, status, error, retry_after)


def from_error_member(upstream: str, error: object) -> ProxyError:
    """Read an error that came inside a 200, as some servers send it, whole or in mid-stream."""
    code = error.get("code") if isinstance(error, dict) else None
    is_status = isinstance(code, int) and 400 <= code < 600  # noqa: PLR2004
    return _reported(upstream, code if isinstance(code, int) and is_status else 502, error, None)


def _reported(upstream: str, status: int, error: object, retry_after: str | None) -> ProxyError:
    if status in (401, 403):
        # The credential is the operator's: an upstream's words about it are none of the caller's business.
        return ProxyError(status, f"Upstream {upstream} refuses the proxy's credential.", retry_after=retry_after)
    members: dict[str, Any] = error if isinstance(error, dict) else {"message": error}
    return ProxyError(
        status,
        _text(members.get("message")) or f"Upstream {upstream} answered {_phrase(status)}.",
        kind=_text(members.get("type")),
        param=_text(members.get("param")),
        code=_text(members.get("code")),
        retry_after=retry_after,
    )


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _phrase(status: int) -> str:
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)


def _answer(request: Request, error: ProxyError) -> AsciiJSONResponse:
    if error.status >= 500:  # noqa: PLR2004
        logger.warning("%s answered with %s", request.url.path, error)
    return AsciiJSONResponse(error.body(), error.status, headers=error.headers())


def _on_proxy_error(request: Request, error: Exception) -> AsciiJSONResponse:
    assert isinstance(error, ProxyError)  # noqa: S101
    return _answer(request, error)


def _on_bad_request(request: Request, error: Exception) -> AsciiJSONResponse:
    assert isinstance(error, RequestValidationError)  # noqa: S101
    return _answer(request, bad_request(error.errors()))


def _on_http_error(request: Request, error: Exception) -> AsciiJSONResponse:
    assert isinstance(error, HTTPException)  # noqa: S101
    return _answer(request, ProxyError(error.status_code, error.detail))


def _on_bug(request: Request, error: Exception) -> AsciiJSONResponse:
    logger.error("%s failed with %s", request.url.path, type(error).__name__)
    return AsciiJSONResponse(internal().body(), 500)


def install(app: FastAPI) -> None:
    """Let every error of `app` leave in OpenAI's shape."""
    app.add_exception_handler(ProxyError, _on_proxy_error)
    app.add_exception_handler(RequestValidationError, _on_bad_request)
    app.add_exception_handler(HTTPException, _on_http_error)
    app.add_exception_handler(Exception, _on_bug)
