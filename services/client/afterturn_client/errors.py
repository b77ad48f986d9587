"""Every error that the client raises on purpose. No message quotes chat content."""

from collections.abc import Sequence
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


class BadEntryError(ClientError):
    """An entry of a buffer is no message.

    `reason` is one word of a fixed list (`messages.REASONS`), `detail` names the field. Neither quotes the entry.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class RecordingFailedError(ClientError):
    """Redis did not acknowledge the messages: it is down, late or full. An API answers 503.

    They may have been stored all the same, where only the answer was lost. `messages` carry their ids: recording
    exactly these again is safe, whatever happened to the first try.
    """

    def __init__(self, room_id: str, messages: Sequence["Message"], cause: str) -> None:
        super().__init__(f"{len(messages)} messages were not acknowledged by Redis ({cause}); record them again")
        self.room_id = room_id
        self.messages = tuple(messages)
        self.cause = cause
