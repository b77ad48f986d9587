"""Every error that the client raises on purpose. No message quotes chat content."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from afterturn_client.messages import Message


class ClientError(Exception):
    """Afterturn's client could not do what it was asked."""


class InvalidFieldError(ClientError, ValueError):
    """An argument is wrong.

    `field` names it and `takes` says what it takes.
    """

    def __init__(self, field: str, takes: str) -> None:
        super().__init__(f"{field}: takes {takes}")
        self.field = field
        self.takes = takes


class PayloadKeyError(ClientError):
    """What Temporal keeps was encrypted with a key that is missing here, or is another one of the same name."""

    def __init__(self, name: str, why: str) -> None:
        super().__init__(f"a payload is encrypted with the key {name!r}, which {why} (AFTERTURN_PAYLOAD_KEYS)")
        self.name = name


class BadEntryError(ClientError):
    """An entry of a buffer is no message.

    `reason` is one word of a fixed list (`messages.REASONS`), `detail` names the field. Neither quotes the entry.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class RecordingFailedError(ClientError):
    """The messages were not acknowledged: Redis or the API is down, late or full. An API answers 503.

    They may have been stored all the same, where only the answer was lost. `messages` carry their ids: recording
    exactly these again is safe, whatever happened to the first try.
    """

    def __init__(self, room_id: str, messages: Sequence["Message"], cause: str) -> None:
        super().__init__(f"{len(messages)} messages were not acknowledged ({cause}); record them again")
        self.room_id = room_id
        self.messages = tuple(messages)
        self.cause = cause


class UnsentMessagesError(ClientError):
    """The client was closed while it held messages that were not acknowledged: they are lost but for this error.

    `messages` has them by room, in their order. Recording them again is safe. `refused` has those among them that the
    API refuses: recording these again as they are can never succeed.
    """

    def __init__(
        self,
        messages: Mapping[str, Sequence["Message"]],
        refused: Mapping[str, Sequence["Message"]] = MappingProxyType({}),
    ) -> None:
        unsent = f"{_count(messages)} messages in {len(messages)} rooms were never sent"
        super().__init__(f"{unsent}; the API refuses {_count(refused)} of them" if refused else unsent)
        self.messages = {room_id: tuple(kept) for room_id, kept in messages.items()}
        self.refused = {room_id: tuple(kept) for room_id, kept in refused.items()}


def _count(messages: Mapping[str, Sequence["Message"]]) -> int:
    return sum(map(len, messages.values()))


class ClientClosedError(ClientError):
    """The client has been closed."""

    def __init__(self) -> None:
        super().__init__("the client is closed")


class NoApiError(ClientError):
    """The client was told no address of the memory API, which this needs (`api_url` or `AFTERTURN_API_URL`)."""

    def __init__(self) -> None:
        super().__init__("api_url: takes the address of the memory API")


class ApiUnavailableError(ClientError):
    """The memory API did not answer, or asks to come back later; trying again is safe.

    `status` is None where no answer came at all; `retry_after` is what the API asked for, in seconds.
    """

    def __init__(self, cause: str, *, status: int | None = None, retry_after: float | None = None) -> None:
        super().__init__(f"the memory API did not answer ({cause})")
        self.cause = cause
        self.status = status
        self.retry_after = retry_after


class ApiRefusedError(ClientError):
    """The memory API refuses the request: trying it again as it is can never succeed.

    `status` is HTTP's, `problem` the title of the problem document.
    """

    def __init__(self, status: int, problem: str) -> None:
        super().__init__(f"the memory API refused ({status}): {problem}")
        self.status = status
        self.problem = problem


class CredentialRefusedError(ApiRefusedError):
    """The API key is missing, wrong, or lacks the scope."""


class NotFoundError(ApiRefusedError):
    """There is no such thing, or it belongs to somebody else."""


class VersionConflictError(ApiRefusedError):
    """Another version stands than the one that was to be written over."""


class NotReachedYetError(ClientError):
    """Time was up before every message had come so far. `states` has each message's state by its id."""

    def __init__(self, wanted: str, states: Mapping[str, str]) -> None:
        reached = ", ".join(f"{list(states.values()).count(state)} {state}" for state in dict.fromkeys(states.values()))
        super().__init__(f"not every message is {wanted} yet: {reached}")
        self.wanted = wanted
        self.states = dict(states)
