"""What each step takes and gives: ids and counts, never content."""

from typing import Annotated, Literal

from afterturn_client.rooms import ROOM_ID_PATTERN
from pydantic import BaseModel, ConfigDict, Field

RoomId = Annotated[str, Field(pattern=ROOM_ID_PATTERN)]


class Step(BaseModel):
    """Refuses unknown fields, and does not quote a wrong value in its error."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class StepResult(Step):
    """Reads over fields that it does not know: while workers are replaced, a newer one's step may have answered."""

    model_config = ConfigDict(extra="ignore")


class RoomInput(Step):
    room_id: RoomId


class ClaimInput(Step):
    """`at_once` claims without waiting for quiet; `waited_seconds` is how long this burst was waited for."""

    room_id: RoomId
    waited_seconds: float = 0.0
    at_once: bool = False


class ClaimResult(StepResult):
    """A claim, or how long to wait for quiet; neither means that nothing is left."""

    claim: str | None = None
    wait_seconds: float | None = None


class ArchiveInput(Step):
    room_id: RoomId
    claim: str


class ArchiveResult(StepResult):
    """`digest_is_busy` says that a digest has a chunk of the room to do, and will look for more after it.

    `digest_is_woken` says that one was started or told.
    `released` says that the claim is deleted, too; `next_claim` is None then when the room is empty.
    """

    added: int
    repeated: int
    quarantined: int
    last_seq: int
    digest_is_busy: bool = False
    digest_is_woken: bool = False
    released: bool = False
    next_claim: str | None = None


class ReleaseInput(Step):
    room_id: RoomId
    claim: str


class ReleaseResult(StepResult):
    """`next_claim` is None when the room is empty."""

    next_claim: str | None = None


class ChunkInput(Step):
    chunk_id: Annotated[str, Field(pattern=r"^[0-9a-f-]{36}$")]


class SavedMemories(StepResult):
    """How many memories of a chunk were saved, and how many never can be.

    Where that was a step of its own, `left` is how many chunks of the room are left after it.
    """

    saved: int = 0
    failed: int = 0
    left: int | None = None


class DigestResult(StepResult):
    """What became of one chunk (None: there was none), and how many are left.

    One that was `extracted` has memories to save before it is digested; else `memories` says what was saved.
    """

    outcome: Literal["digested", "extracted", "split", "quarantined"] | None = None
    chunk_id: str | None = None
    left: int = 0
    memories: SavedMemories = SavedMemories()


class SweepResult(StepResult):
    """How many workflows a sweep woke, and how many entries it moved to quarantine."""

    rooms_woken: int = 0
    digests_woken: int = 0
    quarantined: int = 0
    webhooks_woken: int = 0


class NoInput(Step):
    """Takes nothing, and says so when it is given something."""


class Mem0Drift(StepResult):
    """On what Mem0 and the brain did not agree, in memories, before anything was `repaired`.

    `foreign` is what stands in Mem0 under an owner's name and is not ours: it is never touched.
    """

    checked: int = 0
    missing_in_mem0: int = 0
    missing_in_brain: int = 0
    texts_differ: int = 0
    duplicates: int = 0
    foreign: int = 0
    repaired: int = 0

    def plus(self, other: "Mem0Drift") -> "Mem0Drift":
        return Mem0Drift(**{name: getattr(self, name) + getattr(other, name) for name in Mem0Drift.model_fields})


class ReconcileInput(Step):
    """`after` and `found` are how far an earlier run of the same reconciliation came."""

    repair: bool = True
    after: str | None = None
    found: Mem0Drift = Mem0Drift()


class ReconcilePageInput(Step):
    after: str | None = None
    repair: bool = True


class ReconcilePageResult(StepResult):
    """`next_after` is None after the last page."""

    found: Mem0Drift = Mem0Drift()
    next_after: str | None = None


class RoomStatus(Step):
    """What a `RoomMemory` run does, and what it did so far."""

    step: str
    archived: int = 0
    repeated: int = 0
    quarantined: int = 0
    last_seq: int = 0


class DigestStatus(Step):
    """What a `RoomDigest` run did so far, in chunks and in memories."""

    digested: int = 0
    split: int = 0
    quarantined: int = 0
    left: int = 0
    memories_saved: int = 0
    memories_failed: int = 0

    def after(self, step: DigestResult, memories: SavedMemories) -> "DigestStatus":
        changes = {
            "left": step.left if memories.left is None else memories.left,
            "memories_saved": self.memories_saved + memories.saved,
            "memories_failed": self.memories_failed + memories.failed,
        }
        if step.outcome:
            counted = "digested" if step.outcome == "extracted" else step.outcome
            changes[counted] = getattr(self, counted) + 1
        return self.model_copy(update=changes)


class DigestInput(RoomInput):
    """`live` and `done` are what an earlier run of the digest knew: that the room is talked in, and how far it came."""

    live: bool = False
    done: DigestStatus = DigestStatus()
