"""Brings Redis, Postgres, Temporal and Mem0 to agree after some of them were restored, each to a moment of its own."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from activities.forgotten_buffers import ForgottenBuffers
from services.domain.errors import PermanentError
from services.domain.memories import Owner, OwnerType, owner_of
from services.mem0_store.platform import PlatformStore
from services.operations.forgetting import ForgettingRuns
from services.operations.interrupted_work import InterruptedWork
from services.operations.restored_buffers import RestoredBuffers
from services.postgres.archive.known_entries import KnownEntries
from services.postgres.upkeep.restored import RestoredDatabase
from services.resources import Resources
from services.room_buffer.erasing import BufferErasing
from services.section_store.restored import drop_temporaries, end_epochs


@dataclass(frozen=True, slots=True)
class ToForget:
    """A forgetting that somebody has written down elsewhere: its run, and whom."""

    run_id: str
    owner_type: OwnerType
    owner_id: str


@dataclass(frozen=True, slots=True)
class Asked:
    """What whoever restored says.

    `redis_copied_at` is when the copy of Redis was begun, by Redis' clock; None where Redis was not restored.
    """

    redis_copied_at: datetime | None = None
    forgotten: Sequence[ToForget] = ()
    numbers_ahead: int = 0
    drop_orphans: bool = False
    although_others_are_connected: bool = False


@dataclass(slots=True)
class Reconciled:
    """What was done, in numbers and ids.

    `forgetting` are the ids of forgettings that were begun anew, `unfinished` the owners whose forgetting began and of
    which nobody knows whether it ended. `ended` are runs that must be started again, `look_at` runs that came to their
    end after the restored moment, and whose work may be gone.
    """

    archived_entries: int = 0
    forgotten_entries: int = 0
    temporary_values: int = 0
    cache_epochs: int = 0
    rooms_numbered_ahead: int = 0
    forgetting: tuple[str, ...] = ()
    unfinished: tuple[str, ...] = ()
    ended: tuple[str, ...] = ()
    look_at: tuple[str, ...] = ()
    started: tuple[str, ...] = ()
    mem0_orphans: int = 0
    mem0_orphans_dropped: bool = False


class Restoring:
    """Every part may be repeated; what needs quiet says so."""

    def __init__(self, resources: Resources) -> None:
        self._resources = resources
        self._database = RestoredDatabase(resources.database)
        self._work = InterruptedWork(resources.temporal)
        self._runs = ForgettingRuns(resources.temporal)

    async def reconcile(self, asked: Asked) -> Reconciled:
        """Raises `PermanentError` where somebody is at work, unless that was said to be so."""
        if not asked.although_others_are_connected and (others := await self._database.others()):
            raise PermanentError(
                f"{others} connections of workers, APIs or commands are open: stop them first, or say --anyway"
            )
        done = Reconciled()
        if asked.redis_copied_at is not None:
            await self._restored_redis(asked.redis_copied_at, done)
        done.cache_epochs = await end_epochs(self._resources.redis, self._resources.database)
        await self._database.move_versions_ahead()
        if asked.numbers_ahead:
            done.rooms_numbered_ahead = await self._number_ahead(asked.numbers_ahead)
        await self._temporal(asked, done)
        await self._mem0(asked, done)
        return done

    async def _restored_redis(self, copied_at: datetime, done: Reconciled) -> None:
        resources = self._resources
        forgotten = ForgottenBuffers(BufferErasing(resources.redis, resources.buffer), resources.database)
        known = KnownEntries(resources.database)
        buffers = RestoredBuffers(resources.redis, resources.buffer, known, forgotten, self._database)
        started_at = await buffers.check(copied_at)
        done.archived_entries = await buffers.take_out_archived(copied_at, started_at)
        done.forgotten_entries = await buffers.take_out_forgotten(copied_at)
        done.temporary_values = await drop_temporaries(resources.redis)

    async def _number_ahead(self, ahead: int) -> int:
        """A gap within a chunk would count as messages: so what is not cut yet is cut first.

        A room that has chunks to digest before it can be cut is left out.
        """
        after = ""
        while page := await self._resources.rooms.undigested(after=after):
            for room_id in page:
                await self._resources.chunks.next_waiting(room_id)
            after = page[-1]
        return await self._database.move_numbers_ahead(ahead)

    async def _temporal(self, asked: Asked, done: Reconciled) -> None:
        done.ended = tuple(await self._work.end_running())
        newest = await self._database.newest()
        done.look_at = tuple(await self._work.done_since(newest)) if newest else ()
        await self._forget_again(asked.forgotten, done)
        started = [await self._work.sweep()]
        # What somebody forgotten had in Mem0 must not be brought back first.
        if self._resources.memory_store is not None and not done.forgetting:
            started.append(await self._work.compare_mem0())
        done.started = tuple(started)

    async def _forget_again(self, written_down: Sequence[ToForget], done: Reconciled) -> None:
        """Forget again whom the restored Postgres does not know to be forgotten."""
        known = await self._database.forgettings()
        wanted: dict[tuple[OwnerType, object], ToForget] = {}
        named = [
            (ToForget(found.run_id, *_owner_in(found.workflow_id)), found) for found in await self._work.forgettings()
        ]
        for one, found in named:
            if one.run_id not in known.finished:
                wanted[_key(one)] = one
                if found.is_running:
                    await self._work.end(found.workflow_id)
        for one in written_down:
            if one.run_id not in known.finished:
                wanted.setdefault(_key(one), one)
        done.forgetting = tuple([await self._runs.start(one.owner_type, one.owner_id) for one in wanted.values()])
        left = {(owner.type, owner.id): owner for owner in known.unfinished.values()}
        done.unfinished = tuple(f"{owner.type} {owner.id}" for key, owner in left.items() if key not in wanted)

    async def _mem0(self, asked: Asked, done: Reconciled) -> None:
        store = self._resources.memory_store
        if isinstance(store, PlatformStore):
            done.mem0_orphans = await store.orphans(drop=asked.drop_orphans)
            done.mem0_orphans_dropped = asked.drop_orphans


def _owner_in(workflow_id: str) -> tuple[OwnerType, str]:
    _, kind, owner_id = workflow_id.split(":", 2)
    return ("company" if kind == "company" else "user"), owner_id


def _key(one: ToForget) -> tuple[OwnerType, object]:
    owner: Owner = owner_of(one.owner_type, one.owner_id)
    return owner.type, owner.id
