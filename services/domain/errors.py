"""Every error that Afterturn raises on purpose.

What is transient is waited for and tried again, without limit; it is the default. What is permanent says so, and is
quarantined with its reason. No message quotes chat content: it may name a field, a count, a status or an id.
"""


class AfterturnError(Exception):
    """Something went wrong in Afterturn."""


class TransientError(AfterturnError):
    """Trying again later can succeed.

    `retry_after` is what the other side asked for, in seconds.
    """

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class PermanentError(AfterturnError):
    """Trying again can never succeed."""


class ModelUnavailableError(TransientError):
    """The model did not answer: it is unreachable, late, overloaded, out of quota, or refuses the credential.

    `status` is the HTTP status, or None when no answer came at all.
    """

    def __init__(self, message: str, *, status: int | None = None, retry_after: float | None = None) -> None:
        super().__init__(message, retry_after=retry_after)
        self.status = status


class ModelRefusedError(PermanentError):
    """The model can never answer this request: it is too long or malformed."""

    def __init__(self, message: str, *, status: int) -> None:
        super().__init__(message)
        self.status = status


class InvalidInputError(PermanentError):
    """An input is wrong.

    `field` names it and `takes` says what it takes.
    """

    def __init__(self, field: str, takes: str) -> None:
        super().__init__(f"{field}: takes {takes}")
        self.field = field
        self.takes = takes


class MemoryStoreUnavailableError(TransientError):
    """Mem0 did not answer, or not in a way that tells whether it did what it was asked."""


class OwnerUnknownError(TransientError):
    """The host's tables do not know this owner, and do not let us add it; they may tomorrow."""
