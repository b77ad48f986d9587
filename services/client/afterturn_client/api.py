"""The memory API over HTTP: reading, waiting for receipts, and recording where Redis is out of reach."""

import asyncio
import random
from collections.abc import Mapping, Sequence
from datetime import datetime
from http import HTTPStatus
from typing import Any, Literal, TypeVar

import httpx
from pydantic import ValidationError

from afterturn_client.answers import ApiAnswer, Context, MemoryPage, MessageStatus, Reached, SearchAnswer
from afterturn_client.errors import (
    ApiRefusedError,
    ApiUnavailableError,
    CredentialRefusedError,
    NotFoundError,
    NotReachedYetError,
    RecordingFailedError,
    VersionConflictError,
)
from afterturn_client.messages import Message
from afterturn_client.rooms import check_id, check_room_id

OwnerType = Literal["user", "company"]
AnswerT = TypeVar("AnswerT", bound=ApiAnswer)

_LATER = frozenset({408, 425, 429, 500, 502, 503, 504})
_PROBLEM = "application/problem+json"
_KINDS: dict[int, type[ApiRefusedError]] = {
    401: CredentialRefusedError,
    403: CredentialRefusedError,
    404: NotFoundError,
    412: VersionConflictError,
}
_FIRST_PAUSE_SECONDS = 0.1
_LONGEST_PAUSE_SECONDS = 2.0
_LONGEST_WAIT_OF_A_REQUEST = 20.0


class MemoryApi:
    """Asks the API, again where it did not answer, for `seconds` at most: all that is asked here may be repeated.

    A recording takes `record_seconds` at most, whatever happens: a turn does not wait.
    """

    def __init__(self, http: httpx.AsyncClient, *, seconds: float, record_seconds: float) -> None:
        self._http = http
        self._seconds = seconds
        self._record_seconds = record_seconds

    async def record(self, room_id: str, messages: Sequence[Message]) -> None:
        """Record messages that have ids; raise `RecordingFailedError` when they are not acknowledged."""
        sent = [message.model_dump(mode="json", exclude_defaults=bool(message.content)) for message in messages]
        try:
            async with asyncio.timeout(self._record_seconds):
                await self._ask("POST", f"/v1/rooms/{room_id}/messages", json={"messages": sent})
        except ApiUnavailableError as error:
            raise RecordingFailedError(room_id, messages, error.cause) from None
        except TimeoutError:
            raise RecordingFailedError(room_id, messages, "TimeoutError") from None

    async def context(self, asked: Mapping[str, object]) -> Context:
        return _read(Context, await self._ask("POST", "/v1/context", json=_said(asked)))

    async def search(self, asked: Mapping[str, object]) -> SearchAnswer:
        return _read(SearchAnswer, await self._ask("POST", "/v1/memories/search", json=_said(asked)))

    async def memories(self, owner_type: OwnerType, owner_id: str, page: Mapping[str, object]) -> MemoryPage:
        path = f"{owners_path(owner_type, owner_id)}/memories"
        return _read(MemoryPage, await self._ask("GET", path, params=_said(page)))

    async def answer(
        self,
        model: type[AnswerT],
        method: str,
        path: str,
        *,
        json: object = None,
        params: Mapping[str, object] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> AnswerT:
        return _read(model, await self._ask(method, path, json=json, params=_said(params or {}), headers=headers))

    async def tell(
        self, method: str, path: str, *, params: Mapping[str, object], headers: Mapping[str, str] | None = None
    ) -> None:
        await self._ask(method, path, params=_said(params), headers=headers)

    async def wait(
        self, room_id: str, message_ids: Sequence[str], reached: Reached, seconds: float
    ) -> list[MessageStatus]:
        """Ask for the messages one after the other: a room's messages are worked off in their order."""
        until = asyncio.get_running_loop().time() + seconds
        statuses = [await self._wait_for(room_id, message_id, reached, until) for message_id in message_ids]
        if not all(_has_come(status, reached) for status in statuses):
            raise NotReachedYetError(reached, {status.message_id: status.state for status in statuses})
        return statuses

    async def _wait_for(self, room_id: str, message_id: str, reached: Reached, until: float) -> MessageStatus:
        check_room_id(room_id)
        check_id("message_id", message_id)
        while True:
            left = until - asyncio.get_running_loop().time()
            params = {"wait_for": reached, "wait_seconds": round(min(max(left, 0), _LONGEST_WAIT_OF_A_REQUEST), 3)}
            try:
                answer = await self._ask_once("GET", f"/v1/rooms/{room_id}/messages/{message_id}", None, params)
            except ApiUnavailableError as error:
                if left <= 0:
                    raise
                await asyncio.sleep(min(error.retry_after or _FIRST_PAUSE_SECONDS, left))
                continue
            status = _read(MessageStatus, answer)
            if _has_come(status, reached) or left <= 0:
                return status

    async def _ask(
        self,
        method: str,
        path: str,
        *,
        json: object = None,
        params: Mapping[str, str | float] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        until = asyncio.get_running_loop().time() + self._seconds
        pause = _FIRST_PAUSE_SECONDS
        while True:
            try:
                return await self._ask_once(method, path, json, params, headers)
            except ApiUnavailableError as error:
                wait = error.retry_after or pause * random.uniform(0.5, 1)  # noqa: S311  it spreads callers out
                if asyncio.get_running_loop().time() + wait >= until:
                    raise
            await asyncio.sleep(wait)
            pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)

    async def _ask_once(
        self,
        method: str,
        path: str,
        json: object,
        params: Mapping[str, str | float] | None,
        headers: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        try:
            response = await self._http.request(method, path, json=json, params=params, headers=headers)
        except httpx.TransportError as error:
            raise ApiUnavailableError(type(error).__name__) from None
        if response.is_success:
            return response
        raise _refusal(response)


def owners_path(owner_type: OwnerType, owner_id: str) -> str:
    check_id(f"{owner_type}_id", owner_id)
    return f"/v1/{'users' if owner_type == 'user' else 'companies'}/{owner_id}"


def _said(asked: Mapping[str, object]) -> dict[str, Any]:
    """Leave out what is left to the API."""
    return {
        name: value.isoformat() if isinstance(value, datetime) else value
        for name, value in asked.items()
        if value is not None
    }


def _has_come(status: MessageStatus, reached: Reached) -> bool:
    return status.state in ("digested", "quarantined") or status.state == reached


def _read(model: type[AnswerT], response: httpx.Response) -> AnswerT:
    try:
        return model.model_validate_json(response.content)
    except ValidationError:
        raise ApiUnavailableError("an answer of another shape", status=response.status_code) from None


def _refusal(response: httpx.Response) -> ApiRefusedError | ApiUnavailableError:
    status = response.status_code
    if status in _LATER or _has_no_api(response):
        return ApiUnavailableError(f"status {status}", status=status, retry_after=_retry_after(response))
    return _KINDS.get(status, ApiRefusedError)(status, _title(response))


def _has_no_api(response: httpx.Response) -> bool:
    """Tell a 404 of what stands before the API, as an ingress during a rollout: it says nothing of what was asked."""
    media_type = response.headers.get("Content-Type", "")
    return response.status_code == HTTPStatus.NOT_FOUND and not media_type.startswith(_PROBLEM)


def _retry_after(response: httpx.Response) -> float | None:
    try:
        return max(0.0, float(response.headers["Retry-After"]))
    except (KeyError, ValueError):
        return None


def _title(response: httpx.Response) -> str:
    """Take the problem document's title, which is one of a fixed list; its other words are for the API's own log."""
    try:
        return str(response.json()["title"])
    except (ValueError, KeyError, TypeError):
        return response.reason_phrase
