"""What each step takes and gives: ids and counts, never content."""

from typing import Annotated, Literal

from afterturn_client.rooms import ROOM_ID_PATTERN
from pydantic import BaseModel, ConfigDict, Field

RoomId = Annotated[str, Field(pattern=ROOM_ID_PATTERN)]


class Step(BaseModel):
    """Refuses unknown fields, and does not quote a wrong value in its error."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class RoomInput(Step):
    room_id: RoomId


class ClaimInput(Step):
    """`at_once` claims without waiting for quiet; `waited_seconds` is how long this burst was waited for."""

    room_id: RoomId
    waited_seconds: float = 0.0
    at_once: bool = False


class ClaimResult(Step):
    """A claim, or how long to wait for quiet; neither means that nothing is left."""

    claim: str | None = None
    wait_seconds: float | None = None


class ArchiveInput(Step):
    room_id: RoomId
    claim: str


class ArchiveResult(Step):
    added: int
    repeated: int
    quarantined: int
    last_seq: int


class ReleaseInput(Step):
    room_id: RoomId
    claim: str


class ReleaseResult(Step):
    """`next_claim` is None when the room is empty."""

    next_claim: str | None = None


class DigestResult(Step):
    """What became of one chunk (None: there was none), and how many are left."""

    outcome: Literal["digested", "split", "quarantined"] | None = None
    chunk_id: str | None = None
    left: int = 0


class SweepResult(Step):
    """How many workflows a sweep woke, and how many entries it moved to quarantine."""

    rooms_woken: int = 0
    digests_woken: int = 0
    quarantined: int = 0


class NoInput(Step):
    """Takes nothing, and says so when it is given something."""


class RoomStatus(Step):
    """What a `RoomMemory` run does, and what it did so far."""

    step: str
    archived: int = 0
    repeated: int = 0
    quarantined: int = 0
    last_seq: int = 0


class DigestStatus(Step):
    """What a `RoomDigest` run did so far, in chunks."""

    digested: int = 0
    split: int = 0
    quarantined: int = 0
    left: int = 0

    def after(self, step: DigestResult) -> "DigestStatus":
        changes: dict[str, int] = {"left": step.left}
        if step.outcome:
            changes[step.outcome] = getattr(self, step.outcome) + 1
        return self.model_copy(update=changes)
