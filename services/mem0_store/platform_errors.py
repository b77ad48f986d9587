"""What the hosted Mem0's refusals mean to us. No message quotes what it answered: validators repeat what was sent."""

from datetime import UTC, datetime

import httpx

from services.domain.errors import MemoryStoreUnavailableError, PermanentError
from services.llm_proxy.retry_after import retry_after_seconds

_FIRST_ERROR = 400
# The request itself is at fault. Everything else is waited out, a refused credential and an exhausted quota too.
_REFUSED = (400, 413, 422)
# It was turned away before anything was done.
_NOTHING_DONE = (401, 402, 403, 404, 429)


class OutcomeUnknownError(MemoryStoreUnavailableError):
    """Mem0 may have done what it was asked, or may do it later: look before adding again."""


class MemoryGoneError(MemoryStoreUnavailableError):
    """Mem0 answered 404: it has no such memory, or no such route."""


class MemoryRefusedError(PermanentError):
    """Mem0 can never take this memory."""


async def refuse(response: httpx.Response) -> None:
    """Raise what an error status means, before Mem0's client does: it drops 402 and a `Retry-After` that is a date."""
    status = response.status_code
    if status < _FIRST_ERROR:
        return
    if status in _REFUSED:
        raise MemoryRefusedError(f"Mem0 refused the request with status {status}")
    wait = retry_after_seconds(response.headers.get("Retry-After"), datetime.now(UTC))
    if status == httpx.codes.NOT_FOUND:
        raise MemoryGoneError(f"Mem0 answered {status}", retry_after=wait)
    kind = MemoryStoreUnavailableError if status in _NOTHING_DONE else OutcomeUnknownError
    raise kind(f"Mem0 is unavailable, status {status}", retry_after=wait)
