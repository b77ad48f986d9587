"""Every error that Afterturn raises on purpose.

What is transient is waited for and tried again, without limit; it is the default. What is permanent says so, and is
quarantined with its reason. No message quotes chat content: it may name a field, a count, a status or an id.
"""


class AfterturnError(Exception):
    """Something went wrong in Afterturn."""


class TransientError(AfterturnError):
    """Trying again later can succeed.

    `retry_after` is what the other side asked for, in seconds, and no more than is believed of it.
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


class NotFoundError(PermanentError):
    """There is no such thing, or not for whoever asks."""

    def __init__(self, what: str) -> None:
        super().__init__(f"There is no such {what}.")


class NotAllowedError(PermanentError):
    """Whoever asks may see it, and may not do this with it."""


class MemoryStoreUnavailableError(TransientError):
    """Mem0 did not answer, or not in a way that tells whether it did what it was asked."""


class EndpointFailedError(TransientError):
    """A webhook's endpoint did not take an event: `status` is what it answered, or None where it did not."""

    def __init__(self, message: str, *, status: int | None = None, retry_after: float | None = None) -> None:
        super().__init__(message, retry_after=retry_after)
        self.status = status


class RecallTooLowError(PermanentError):
    """Search does not find in a model's vectors what an exact scan of them finds."""


class OwnerUnknownError(TransientError):
    """The host's tables do not know this owner, and do not let us add it; they may tomorrow."""


class ForgottenError(PermanentError):
    """The owner, or a message that bears it out, was forgotten after the work began: nothing of it is kept."""


class ChangedMeanwhileError(PermanentError):
    """What stands is not what the caller said would stand: somebody changed it meanwhile."""


class SectionsUnavailableError(TransientError):
    """Redis did not answer, so that what only Redis keeps can be neither read nor written."""


class VersionConflictError(ChangedMeanwhileError):
    """Somebody else has written the value since it was read. `version` is what stands, 0 where nothing does."""

    def __init__(self, version: int) -> None:
        super().__init__(f"the value has another version by now: {version}")
        self.version = version
