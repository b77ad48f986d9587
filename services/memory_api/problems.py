"""What goes wrong, as problem documents (RFC 9457). None of them quotes what was sent."""

import logging
import math
from collections.abc import Mapping, Sequence
from typing import Any

from afterturn_client.errors import InvalidFieldError, RecordingFailedError
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from services.domain.errors import (
    AfterturnError,
    ChangedMeanwhileError,
    InvalidInputError,
    NotAllowedError,
    NotFoundError,
    TransientError,
)
from services.http import request_ids
from services.http.json_response import AsciiJSONResponse
from services.http.routes import route_of

logger = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"
RETRY_SECONDS = 1.0
# By status: the end of the type's URN, and the title.
KINDS = {
    400: ("bad-request", "The request cannot be read"),
    401: ("unauthorized", "A valid credential is needed"),
    403: ("forbidden", "The credential does not allow this"),
    404: ("not-found", "There is no such thing, or not for this credential"),
    405: ("method-not-allowed", "The route does not take this method"),
    409: ("conflict", "Something else is under way"),
    412: ("changed", "What stands is not what If-Match or If-None-Match says"),
    413: ("too-large", "The body is too large"),
    422: ("invalid", "A field is wrong"),
    428: ("precondition-required", "If-Match or If-None-Match is needed"),
    500: ("internal", "The API failed"),
    503: ("unavailable", "A server that this needs is away"),
}


class WrongField(BaseModel):
    field: str = Field(description="Where in the request, as in `body.messages[0].role`.")
    takes: str = Field(description="What it takes.")


class Problem(BaseModel):
    """A problem document. `type` says what kind of problem it is; `detail` never quotes the request."""

    type: str = Field(examples=["urn:afterturn:problem:not-found"])
    title: str
    status: int
    detail: str | None = None
    request_id: str | None = Field(None, description="The request's `X-Request-ID`.")
    errors: list[WrongField] | None = Field(None, description="Each wrong field, where the status is 422.")
    message_ids: list[str] | None = Field(
        None, description="The ids under which recording the same messages again is safe, where Redis was away."
    )
    running_id: str | None = Field(None, description="What is under way already, where the status is 409.")


class ProblemError(AfterturnError):
    """The API answers with a problem."""

    def __init__(
        self, status: int, detail: str | None = None, *, headers: Mapping[str, str] | None = None, **members: object
    ) -> None:
        super().__init__(f"status {status}")
        self.status = status
        self.detail = detail
        self.headers = dict(headers or {})
        self.members = members

    def document(self) -> dict[str, Any]:
        name, title = KINDS.get(self.status, ("error", "The request was refused"))
        problem = Problem(
            type=f"urn:afterturn:problem:{name}",
            title=title,
            status=self.status,
            detail=self.detail,
            request_id=request_ids.current() or None,
            **self.members,
        )
        return problem.model_dump(exclude_none=True)


def not_found(what: str) -> ProblemError:
    return ProblemError(404, f"There is no such {what}.")


def forbidden(detail: str) -> ProblemError:
    return ProblemError(403, detail)


def wrong_field(field: str, takes: str) -> ProblemError:
    return ProblemError(422, f"{field}: takes {takes}", errors=[WrongField(field=field, takes=takes)])


def unavailable(detail: str, *, retry_after: float | None = None, **members: object) -> ProblemError:
    seconds = max(1, math.ceil(RETRY_SECONDS if retry_after is None else retry_after))
    return ProblemError(503, detail, headers={"Retry-After": str(seconds)}, **members)


def understood(error: Exception) -> ProblemError:
    """Give the problem that an error of ours is."""
    match error:
        case ProblemError():
            return error
        case InvalidInputError() | InvalidFieldError():
            return wrong_field(error.field, error.takes)
        case NotFoundError() | NotAllowedError() | ChangedMeanwhileError() | HTTPException():
            return _refused(error)
        case RecordingFailedError():
            ids = [message.id for message in error.messages if message.id]
            detail = f"Redis did not acknowledge the messages ({error.cause}); record them again under the same ids."
            return unavailable(detail, message_ids=ids)
        case TransientError():
            return unavailable(f"{error}.", retry_after=error.retry_after)
    return ProblemError(500)


def _refused(error: NotFoundError | NotAllowedError | ChangedMeanwhileError | HTTPException) -> ProblemError:
    match error:
        case NotFoundError():
            return ProblemError(404, str(error))
        case NotAllowedError():
            return ProblemError(403, str(error))
        case ChangedMeanwhileError():
            return ProblemError(412, "Read it again: somebody changed it.")
    return ProblemError(error.status_code, headers=error.headers)


def wrong_fields(found: Sequence[Any], known: frozenset[str]) -> ProblemError:
    """Name what Pydantic found wrong, by names of ours alone: a field that we do not know is the caller's own text."""
    if any(one["type"] == "json_invalid" for one in found):
        return ProblemError(400, "The body is no JSON.")
    errors = [WrongField(field=_place(one["loc"], known), takes=one["msg"]) for one in found[:20]]
    return ProblemError(422, f"{errors[0].field}: {errors[0].takes}", errors=errors)


def _place(loc: Sequence[str | int], known: frozenset[str]) -> str:
    place = ""
    for part in loc:
        if isinstance(part, int):
            place += f"[{part}]"
        elif part in known:
            place += f".{part}" if place else part
        else:
            break
    return place or "body"


def respond(error: ProblemError) -> JSONResponse:
    return AsciiJSONResponse(error.document(), error.status, headers=error.headers, media_type=MEDIA_TYPE)


def install(app: FastAPI) -> None:
    """Let every error of `app` leave as a problem document."""
    known: list[frozenset[str]] = []

    def on_error(request: Request, error: Exception) -> JSONResponse:
        problem = understood(error)
        if problem.status == 500:  # noqa: PLR2004
            logger.error("%s failed with %s", _route(request), type(error).__name__)
        elif problem.status > 500:  # noqa: PLR2004
            logger.warning("%s answered with status %s", _route(request), problem.status)
        return respond(problem)

    def on_wrong_fields(_request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, RequestValidationError)  # noqa: S101
        if not known:
            known.append(_names(app.openapi()))
        return respond(wrong_fields(error.errors(), known[0]))

    app.add_exception_handler(RequestValidationError, on_wrong_fields)
    for kind in (AfterturnError, InvalidFieldError, RecordingFailedError, HTTPException, Exception):
        app.add_exception_handler(kind, on_error)


def _route(request: Request) -> str:
    return f"{request.method} {route_of(request.scope) or 'no route'}"


def _names(document: dict[str, Any]) -> frozenset[str]:
    """Collect the names of all fields and parameters."""
    schemas = document.get("components", {}).get("schemas", {}).values()
    fields = {name for schema in schemas for name in schema.get("properties", {})}
    routes = [route for path in document["paths"].values() for route in path.values()]
    parameters = {parameter["name"] for route in routes for parameter in route.get("parameters", [])}
    return frozenset(fields | parameters | {"body", "query", "path", "header"})
