"""Replays a conversation as a chat service would record it, and watches what becomes of each message."""

import asyncio
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from afterturn_client.memory_client import MemoryClient
from afterturn_client.messages import Message
from afterturn_client.names import MEMORY_QUEUE, ROOM_MEMORY, room_memory_id
from rich.progress import Progress, TaskID
from temporalio.client import Client, WithStartWorkflowOperation
from temporalio.common import WorkflowIDConflictPolicy

from activities.steps import RoomInput
from services.cli.exit_codes import CommandFailedError
from services.cli.output import Output
from services.resources import Resources

_LOOK_SECONDS = 0.2
# A large model on a small machine takes minutes for a chunk.
_STALL_SECONDS = 300.0


@dataclass(frozen=True, slots=True)
class Counts:
    """How far the messages of a conversation are; each state counts those that went further, too."""

    archived: int
    digested: int
    quarantined: int

    @property
    def done(self) -> int:
        return self.digested + self.quarantined


@dataclass(frozen=True, slots=True)
class Replayed:
    """`known` were in the archive before; `seconds` is how long each phase took."""

    messages: int
    known: int
    counts: Counts
    seconds: dict[str, float]


async def replay(
    output: Output, resources: Resources, memory: MemoryClient, room_id: str, messages: Sequence[Message]
) -> Replayed:
    """Record a conversation turn by turn, take it at once, and return when all of it is digested or set aside."""
    ids = [message.id or "" for message in messages]
    known = (await count(resources, room_id, ids)).archived
    seconds: dict[str, float] = {}
    with output.progress() as progress:
        bars = {name: progress.add_task(name, total=len(ids)) for name in ("buffered", "archived", "digested")}
        started = time.monotonic()
        for turn in turns(messages):
            await memory.record(room_id, turn)
            progress.advance(bars["buffered"], len(turn))
        seconds["buffered"] = time.monotonic() - started
        archived = await _until_archived(resources, room_id, ids, progress, bars)
        seconds["archived"] = time.monotonic() - started
        counts = await _until_digested(resources, room_id, ids, archived, progress, bars)
        seconds["digested"] = time.monotonic() - started
    return Replayed(len(ids), known, counts, seconds)


def turns(messages: Sequence[Message]) -> Iterator[list[Message]]:
    """Cut before each user message: what follows belongs to its turn."""
    turn: list[Message] = []
    for message in messages:
        if message.role == "user" and turn:
            yield turn
            turn = []
        turn.append(message)
    if turn:
        yield turn


async def count(resources: Resources, room_id: str, ids: Sequence[str]) -> Counts:
    states = [receipt.state for receipt in await resources.rooms.receipts(room_id, ids)]
    return Counts(len(states), states.count("digested"), states.count("quarantined"))


async def flush(temporal: Client, room_id: str) -> int:
    """Have the room's buffer taken now; answer its last sequence number."""
    start: WithStartWorkflowOperation[object, object] = WithStartWorkflowOperation(
        ROOM_MEMORY,
        RoomInput(room_id=room_id),
        id=room_memory_id(room_id),
        task_queue=MEMORY_QUEUE,
        id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
    )
    last_seq: int = await temporal.execute_update_with_start_workflow(
        "flush", start_workflow_operation=start, result_type=int
    )
    return last_seq


async def _until_archived(
    resources: Resources, room_id: str, ids: Sequence[str], progress: Progress, bars: dict[str, TaskID]
) -> int:
    """Answer how many are in the archive when the buffer is empty: fewer where some were set aside."""
    flushed = asyncio.create_task(flush(resources.temporal, room_id))
    try:
        patience = _Patience()
        while not flushed.done():
            patience.look(_show(progress, bars, await count(resources, room_id, ids)))
            await asyncio.wait([flushed], timeout=_LOOK_SECONDS)
        await flushed
    finally:
        flushed.cancel()
    return _show(progress, bars, await count(resources, room_id, ids)).archived


async def _until_digested(
    resources: Resources,
    room_id: str,
    ids: Sequence[str],
    archived: int,
    progress: Progress,
    bars: dict[str, TaskID],
) -> Counts:
    patience = _Patience()
    while (counts := _show(progress, bars, await count(resources, room_id, ids))).done < archived:
        patience.look(counts)
        await asyncio.sleep(_LOOK_SECONDS)
    return counts


def _show(progress: Progress, bars: dict[str, TaskID], counts: Counts) -> Counts:
    progress.update(bars["archived"], completed=counts.archived)
    progress.update(bars["digested"], completed=counts.digested)
    return counts


class _Patience:
    """Gives up when nothing moves any more."""

    def __init__(self) -> None:
        self._last: Counts | None = None
        self._since = time.monotonic()

    def look(self, counts: Counts) -> None:
        if counts != self._last:
            self._last, self._since = counts, time.monotonic()
        elif time.monotonic() - self._since > _STALL_SECONDS:
            raise CommandFailedError(
                f"nothing moved for {_STALL_SECONDS:.0f} s ({counts.archived} archived, {counts.digested} digested); "
                "the messages are safe; `afterturn doctor` says what is wrong"
            )
