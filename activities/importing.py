"""Writes a page of an import into the archive, and counts what became of each message, once."""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import uuid4

from activities.import_steps import ImportState
from activities.step_pace import StepPace
from services.domain.messages import ClaimedEntry, NewMessage, Rejected
from services.imports.pages import Cursor, Page
from services.imports.placing import Placed, Target
from services.imports.said import Said
from services.postgres.archive.imports import CLAIM_PREFIX, Imports, Known, SetAside
from services.postgres.archive.writing import Archive

# A page may touch hundreds of rooms, each in a transaction of its own.
ROOMS_AT_ONCE = 4


@dataclass(frozen=True, slots=True)
class _Ready:
    """A message that can be archived, and where it was found."""

    placed: Placed
    message: NewMessage


@dataclass(slots=True)
class _Outcome:
    added: int = 0
    repeated: int = 0
    quarantined: int = 0

    def __add__(self, other: "_Outcome") -> "_Outcome":
        return _Outcome(self.added + other.added, self.repeated + other.repeated, self.quarantined + other.quarantined)


class PageWriter:
    """One attempt at a step, from `state` on.

    Its claims are named `import/{run}/{byte}.{skip}/{attempt}`, for the page's beginning. So a message that the archive
    has already is told to be one that an earlier attempt wrote and nobody counted, or one that was there before the
    import, or twice in the file.
    """

    def __init__(
        self,
        archive: Archive,
        imports: Imports,
        target: Target,
        import_run: str,
        state: ImportState,
        epoch: int | None = None,
    ) -> None:
        self._archive = archive
        self._imports = imports
        self._target = target
        self._run = import_run
        self._epoch = epoch
        self._claims = f"{CLAIM_PREFIX}{import_run}/"
        self._state = state
        self._start = (state.cursor.offset, state.cursor.skip)
        self._attempt = uuid4().hex
        self._adopted: set[tuple[str, str]] = set()

    async def write(self, page: Page, pace: StepPace, *, run_id: str) -> ImportState:
        """Archive a page; answer the state after it.

        When the step's time is over the rest is left to the next one, which finds what this one wrote. What earlier
        steps did of the page is only counted: it took its share of the rate then, known and broken messages too.
        """
        paid = self._state.in_page
        outcomes = [await self._write_batch(page.said[:paid], run_id)] if paid else []
        written = 0
        for first in range(paid, len(page.said), pace.batch):
            if written and pace.is_over():
                return self._state.model_copy(update={"in_page": first})
            batch = page.said[first : first + pace.batch]
            adopted = len(self._adopted)
            outcomes.append(await self._write_batch(batch, run_id))
            new = len(batch) - (len(self._adopted) - adopted)
            written += new
            await pace.wait(new)
        self._count(page.after, outcomes)
        return self._state

    async def _write_batch(self, batch: Sequence[Said], run_id: str) -> _Outcome:
        now, few = datetime.now(UTC), asyncio.Semaphore(ROOMS_AT_ONCE)
        rooms: defaultdict[str, list[_Ready]] = defaultdict(list)
        unread: list[SetAside] = []
        for placed in (self._target.place(said, now) for said in batch):
            read = placed.entry.read
            if isinstance(read, Rejected):
                unread.append(SetAside(placed.room_id, placed.source, placed.entry, read))
            elif placed.room_id is not None:
                rooms[placed.room_id].append(_Ready(placed, read))

        async def write_room(room_id: str, messages: Sequence[_Ready]) -> _Outcome:
            async with few:
                return await self._write_room(room_id, messages, run_id)

        outcomes = await asyncio.gather(*(write_room(room_id, messages) for room_id, messages in rooms.items()))
        await self._imports.set_aside(unread, run_id=run_id, epoch=self._epoch)
        await self._imports.note_rooms(self._run, list(rooms))
        return sum(outcomes, _Outcome(quarantined=len(unread)))

    def _count(self, after: Cursor, outcomes: Sequence[_Outcome]) -> None:
        done, state = sum(outcomes, _Outcome()), self._state
        self._state = state.model_copy(
            update={
                "cursor": after,
                "in_page": 0,
                "messages_added": state.messages_added + done.added,
                "repeated": state.repeated + done.repeated,
                "quarantined": state.quarantined + done.quarantined,
            }
        )

    async def _write_room(self, room_id: str, messages: Sequence[_Ready], run_id: str) -> _Outcome:
        """A message is looked for first: most of a repeated import is known, and asks for no lock."""
        claim = f"{self._claims}{_named(self._state.cursor)}/{self._attempt}"
        known = await self._imports.known(room_id, [ready.message.id for ready in messages])
        outcome = _Outcome()
        new: list[ClaimedEntry] = []
        reused: list[SetAside] = []
        for ready in messages:
            message, fingerprint = ready.message, ready.message.fingerprint()
            before = known.get(message.id)
            if before is None:
                known[message.id] = Known(fingerprint, claim)
                new.append(ready.placed.entry)
            elif before.fingerprint != fingerprint:
                reused.append(_reused(room_id, ready.placed))
            elif self._adopts(room_id, message.id, before.claim):
                outcome.added += 1
            else:
                outcome.repeated += 1
        if new:
            archived = await self._archive.add(room_id, claim, new, run_id=run_id, epoch=self._epoch)
            outcome.added += archived.added
            outcome.repeated += archived.repeated
            outcome.quarantined += archived.quarantined
        await self._imports.set_aside(reused, run_id=run_id, epoch=self._epoch)
        outcome.quarantined += len(reused)
        return outcome

    def _adopts(self, room_id: str, message_id: str, claim: str) -> bool:
        """Tell whether an earlier attempt at what follows our start wrote it, and count it once."""
        place, _, attempt = claim.removeprefix(self._claims).partition("/")
        ours = claim.startswith(self._claims) and attempt != self._attempt
        if not ours or _read(place) < self._start or (room_id, message_id) in self._adopted:
            return False
        self._adopted.add((room_id, message_id))
        return True


def _reused(room_id: str, placed: Placed) -> SetAside:
    why = Rejected("id_reused", f"{placed.place}: id: was used before, for other content")
    return SetAside(room_id, placed.source, placed.entry, why)


def _named(cursor: Cursor) -> str:
    return f"{cursor.offset}.{cursor.skip}"


def _read(place: str) -> tuple[int, int]:
    offset, _, skip = place.partition(".")
    return int(offset), int(skip)
