"""`Idempotency-Key`: a request that is repeated under its key is answered as it was the first time."""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Annotated

from fastapi import Header, Request, Response
from pydantic import BaseModel

from services.credential import Credential
from services.domain.errors import TransientError
from services.http.routes import route_of
from services.memory_api.problems import ProblemError
from services.postgres.api.repeated_requests import Mine, RepeatedRequests
from services.postgres.api.sealed_answers import Answered, RequestKey

IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=200,
        pattern=r"^[!-~]+$",
        description="Repeating the request under the same key answers the same, for 24 hours.",
    ),
]


@dataclass(frozen=True, slots=True)
class Done:
    """What a request is answered. The body must hold no chat content; it is kept, sealed, if it `is_final`."""

    body: BaseModel
    status: int = 200
    location: str | None = None
    is_final: bool = True


async def once(
    repeated: RepeatedRequests,
    request: Request,
    credential: Credential,
    key: str | None,
    work: Callable[[], Awaitable[Done]],
    *,
    goes_on_without: bool = False,
) -> Response:
    """Do `work` once for each key. `goes_on_without` does it although Postgres, which remembers, is away."""
    if key is None:
        return _respond(_answer_of(await work()))
    of, content = RequestKey(credential.name, _route(request), key), await _content(request)
    try:
        begun = await repeated.begin(of, content)
    except TransientError:
        if not goes_on_without:
            raise
        return _respond(_answer_of(await work()))
    if not isinstance(begun, Mine):
        if not begun.is_same:
            raise ProblemError(422, "The Idempotency-Key was used before, for another request.")
        if begun.answered is None:
            raise ProblemError(409, "The first request under this key is being answered.", headers={"Retry-After": "1"})
        return _respond(begun.answered, replayed=True)
    try:
        done = await work()
    except BaseException:
        with suppress(TransientError):
            await repeated.let_go(of, begun)
        raise
    answer = _answer_of(done)
    with suppress(TransientError):
        if done.is_final:
            await repeated.answered(of, content, begun, answer)
        else:
            await repeated.let_go(of, begun)
    return _respond(answer)


def _answer_of(done: Done) -> Answered:
    return Answered(done.status, done.body.model_dump_json(), done.location)


def _respond(answer: Answered, *, replayed: bool = False) -> Response:
    response = Response(answer.body, answer.status, media_type="application/json")
    if answer.location:
        response.headers["Location"] = answer.location
    if replayed:
        response.headers["Idempotency-Replayed"] = "true"
    return response


def _route(request: Request) -> str:
    return f"{request.method} {route_of(request.scope)}"


async def _content(request: Request) -> bytes:
    return f"{request.method} {request.url.path}?{request.url.query}\n".encode() + await request.body()
