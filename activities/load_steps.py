"""What the loads of memories from rows take and give: ids, cursors and counts, never what a row says."""

from typing import Annotated
from uuid import UUID

from pydantic import AwareDatetime, Field

from activities.steps import Step, StepResult
from services.domain.memories import OwnerType

OwnerId = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.:-]{1,200}$")]
MAX_BATCH = 1_000
# Of the owners that failed, so many are named; the log names all of them.
MOST_NAMED = 20


class Selection(Step):
    """Which owners are loaded: those whose row changed `since`, those of whom no row told anything yet, or all.

    `dry_run` counts what would be written, and writes nothing.
    """

    since: AwareDatetime | None = None
    only_missing: bool = False
    dry_run: bool = False


class LoadState(Step):
    """How far a load is: each owner up to `after` is counted once.

    `memories` counts the statements that the load wrote down, new or changed; `steps` how often it was told so far.
    """

    after: UUID | None = None
    steps: int = 0
    loaded: int = 0
    failed: int = 0
    memories: int = 0
    failed_ids: tuple[UUID, ...] = ()
    finished: bool = False


class CountInput(Step):
    owner_type: OwnerType
    selection: Selection


class OwnersInput(Step):
    """`load_run` names the load through all its runs and retries."""

    owner_type: OwnerType
    selection: Selection
    load_run: str
    state: LoadState
    batch_size: int
    max_per_second: float | None = None


class OwnerInput(Step):
    owner_type: OwnerType
    owner_id: OwnerId
    dry_run: bool = False


class OwnerLoaded(StepResult):
    """`total_memories_created` counts the statements that were written down, new or changed."""

    total_memories_created: int = 0


class CompaniesLoaded(Step):
    """`total_memories_created` counts the statements that were written down, new or changed."""

    total_companies: int = 0
    loaded_companies: int = 0
    failed_companies: int = 0
    total_memories_created: int = 0


class UsersLoaded(Step):
    """`total_memories_created` counts the statements that were written down, new or changed."""

    total_users: int = 0
    loaded_users: int = 0
    failed_users: int = 0
    total_memories_created: int = 0
