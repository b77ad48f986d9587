"""What a caller gets for messages that it recorded."""

from dataclasses import dataclass, field
from typing import Literal

from afterturn_client.answers import MessageStatus, Reached
from afterturn_client.api import MemoryApi
from afterturn_client.errors import NoApiError


@dataclass(frozen=True, slots=True)
class TurnReceipt:
    """The messages are acknowledged; the ids are what to ask about them by.

    `state` is `queued` only for a client that was opened with `queue_in_outage`: the messages wait in its memory.
    """

    room_id: str
    message_ids: tuple[str, ...]
    state: Literal["buffered", "queued"] = "buffered"
    api: MemoryApi | None = field(default=None, repr=False, compare=False)

    async def wait(self, reached: Reached = "digested", *, seconds: float = 60.0) -> list[MessageStatus]:
        """Wait until every message has come so far, or is quarantined, and give each one's state.

        Raise `NotReachedYetError` when time is up, and `NoApiError` where the client was told no address of the API.
        """
        if self.api is None:
            raise NoApiError
        return await self.api.wait(self.room_id, self.message_ids, reached, seconds)
