"""From the rows of people and companies to memories."""

import logging
from collections.abc import Sequence

from temporalio import activity
from temporalio.client import Client

from activities.heartbeats import heartbeating
from activities.load_steps import MOST_NAMED, CountInput, LoadState, OwnerInput, OwnerLoaded, OwnersInput, Selection
from activities.orders import Orders, following
from activities.row_loader import Loaded, RowLoader
from activities.step_pace import StepPace
from services.domain.errors import InvalidInputError, PermanentError
from services.domain.memories import OwnerType, owner_of
from services.postgres.memories.owner_rows import OwnerRows, Wanted

# A step of a load goes on for so long: the first ones are short, for somebody watches, and long loads take some
# hundred events for a hundred thousand owners.
FIRST_SECONDS = 2.0
STEP_SECONDS = 15.0
# So many attempts that end in an outage, and an owner is suspected to be the cause itself.
SUSPECT_AFTER = 3

logger = logging.getLogger(__name__)


class LoadActivities:
    """Whoever repeats a step finds by the run's name what an earlier attempt wrote, and counts it once."""

    def __init__(self, rows: OwnerRows, loader: RowLoader, temporal: Client) -> None:
        self._rows = rows
        self._loader = loader
        self._temporal = temporal

    @activity.defn
    async def count_owners(self, input: CountInput) -> int:  # noqa: A002
        """Count the owners that a load is for; raise `InvalidInputError` where the host's table cannot tell them."""
        return await self._rows.count(_wanted(input.owner_type, input.selection))

    @activity.defn
    async def load_owner(self, input: OwnerInput) -> OwnerLoaded:  # noqa: A002
        """Load one owner; raise what keeps its memories out."""
        owner = owner_of(input.owner_type, input.owner_id)
        run = _run_named(activity.info().workflow_run_id)
        async with heartbeating():
            row = await self._rows.find(owner)
            if row is None:
                raise InvalidInputError(f"{owner.type}_id", "the id of one who has a row")
            [loaded] = await self._loader.load([row], run, dry_run=input.dry_run, suspect=False)
        if loaded.failures:
            raise PermanentError(f"{len(loaded.failures)} memories were not saved: {loaded.failures[0].reason}")
        return OwnerLoaded(total_memories_created=loaded.memories)

    @activity.defn
    async def load_owners(self, input: OwnersInput) -> LoadState:  # noqa: A002
        """Load owners for some seconds, from where the last attempt was; answer how far it came."""
        told = activity.info().heartbeat_details
        state = LoadState.model_validate(told[0]) if told else input.state
        run = _run_named(input.load_run)
        wanted = _wanted(input.owner_type, input.selection, run)
        async with heartbeating(lambda: state), following(self._temporal, input.max_per_second) as orders:
            pace = _Pace(orders, input.batch_size, seconds=min(FIRST_SECONDS + input.state.steps, STEP_SECONDS))
            suspect = activity.info().attempt > SUSPECT_AFTER
            while not pace.is_over():
                page = await self._rows.page(wanted, after=state.after, limit=pace.batch)
                if not page:
                    return state.model_copy(update={"finished": True})
                loaded = await self._loader.load(page, run, dry_run=input.selection.dry_run, suspect=suspect)
                state, suspect = _counted(state, loaded), False
                activity.heartbeat(state)
                await pace.wait(len(page))
        return state.model_copy(update={"steps": input.state.steps + 1})


class _Pace:
    """Keeps a step to its time, and to the rate that operators have set meanwhile."""

    def __init__(self, orders: Orders, batch_size: int, *, seconds: float) -> None:
        self._orders = orders
        self._batch_size = batch_size
        self._whole = StepPace(None, largest_batch=batch_size, seconds=seconds)
        self._follow()

    def _follow(self) -> None:
        self._rate = self._orders.max_per_second
        self._pace = StepPace(self._rate, largest_batch=self._batch_size)

    @property
    def batch(self) -> int:
        return self._pace.batch

    def is_over(self) -> bool:
        return self._whole.is_over() or self._orders.paused or activity.is_worker_shutdown()

    async def wait(self, done: int) -> None:
        await self._pace.wait(done)
        if self._orders.max_per_second != self._rate:
            self._follow()


def _wanted(owner_type: OwnerType, selection: Selection, run: str = "") -> Wanted:
    return Wanted(owner_type, run, selection.since, selection.only_missing)


def _run_named(load_run: str | None) -> str:
    return f"{activity.info().workflow_id}/{load_run}"


def _counted(state: LoadState, loaded: Sequence[Loaded]) -> LoadState:
    failed = [one for one in loaded if one.failures]
    for one in failed:
        logger.warning("%s was not loaded: %s", one.row.owner, one.failures[0].reason)
    named = (*state.failed_ids, *(one.row.owner.id for one in failed))
    return state.model_copy(
        update={
            "after": loaded[-1].row.owner.id,
            "loaded": state.loaded + len(loaded) - len(failed),
            "failed": state.failed + len(failed),
            "memories": state.memories + sum(one.memories for one in loaded),
            "failed_ids": named[:MOST_NAMED],
        }
    )
