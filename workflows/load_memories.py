from typing import Annotated

from pydantic import Field, ValidationError
from temporalio import workflow
from temporalio.workflow import ActivityConfig

from workflows.activity_options import LOAD
from workflows.pacing import MaxPerSecond, Pace, Paced, ended

with workflow.unsafe.imports_passed_through():
    from activities.load_steps import (
        MAX_BATCH,
        CompaniesLoaded,
        CountInput,
        LoadState,
        OwnerId,
        OwnerInput,
        OwnerLoaded,
        OwnersInput,
        Selection,
        UsersLoaded,
    )
    from activities.loading import LoadActivities
    from activities.priorities import behind_chat
    from activities.steps import Step
    from services.domain.memories import OwnerType


class CompanyInput(Step):
    company_id: OwnerId
    dry_run: bool = False


class UserInput(Step):
    user_id: OwnerId
    dry_run: bool = False


class Carried(Step):
    """What a load hands on to itself when it continues as new."""

    load_run: str
    state: LoadState
    pace: Pace


class LoadAllInput(Selection):
    """`batch_size` owners are read at once; `max_per_second` counts owners. `carried` is nobody's to fill in."""

    batch_size: Annotated[int, Field(ge=1, le=MAX_BATCH)] = 100
    max_per_second: MaxPerSecond | None = None
    carried: Carried | None = None


@workflow.defn(name="LoadCompanyMemories", failure_exception_types=[ValidationError])
class LoadCompanyMemories:
    """Makes memories from a company's row; again, it changes nothing."""

    @workflow.run
    async def run(self, input: CompanyInput) -> OwnerLoaded:  # noqa: A002
        return await _load_one("company", input.company_id, dry_run=input.dry_run)


@workflow.defn(name="LoadUserMemories", failure_exception_types=[ValidationError])
class LoadUserMemories:
    """Makes memories from a person's row; again, it changes nothing."""

    @workflow.run
    async def run(self, input: UserInput) -> OwnerLoaded:  # noqa: A002
        return await _load_one("user", input.user_id, dry_run=input.dry_run)


async def _load_one(owner_type: OwnerType, owner_id: str, *, dry_run: bool) -> OwnerLoaded:
    wanted = OwnerInput(owner_type=owner_type, owner_id=owner_id, dry_run=dry_run)
    options: ActivityConfig = {**LOAD, "priority": behind_chat(owner_id)}
    return await workflow.execute_activity_method(LoadActivities.load_owner, wanted, **options)


class _LoadAll(Paced):
    """Makes memories from the rows of all owners of a type, in the order of their ids."""

    owner_type: OwnerType

    def start_loading(self, given: LoadAllInput) -> None:
        carried = given.carried
        self._given = given
        self._selection = Selection.model_validate(given.model_dump(include=set(Selection.model_fields)))
        self._state = carried.state if carried else LoadState()
        self._load_run = carried.load_run if carried else workflow.info().run_id
        self._options: ActivityConfig = {**LOAD, "priority": behind_chat(None)}
        self.start_pacing(carried.pace if carried else Pace(max_per_second=given.max_per_second))

    async def load_all(self) -> LoadState:
        if self.pace.total is None:
            total = await self._count()
            # Looked up now: it may have been told to pause while it counted.
            self.pace = self.pace.model_copy(update={"total": total})
        while not self._state.finished:
            await self.may_go_on()
            if workflow.info().is_continue_as_new_suggested():
                break
            await self._load_owners()
        if not self._state.finished:
            await workflow.wait_condition(workflow.all_handlers_finished)
            carried = Carried(load_run=self._load_run, state=self._state, pace=self.pace)
            workflow.continue_as_new(self._given.model_copy(update={"carried": carried}))
        return self._state

    @workflow.query(description="How far the load is, and the ids of some of the owners that failed.")
    def state(self) -> LoadState:
        return self._state

    async def _count(self) -> int:
        wanted = CountInput(owner_type=self.owner_type, selection=self._selection)
        return await ended(workflow.execute_activity_method(LoadActivities.count_owners, wanted, **self._options))

    async def _load_owners(self) -> None:
        wanted = OwnersInput(
            owner_type=self.owner_type,
            selection=self._selection,
            load_run=self._load_run,
            state=self._state,
            batch_size=self._given.batch_size,
            max_per_second=self.pace.max_per_second,
        )
        step = workflow.execute_activity_method(LoadActivities.load_owners, wanted, **self._options)
        state = self._state = await ended(step)
        done = state.loaded + state.failed
        total = done if state.finished else max(done, self.pace.total or 0)
        self.advance(done=state.loaded, failed=state.failed, total=total, share=1.0 if state.finished else None)


@workflow.defn(name="LoadAllCompaniesMemories", failure_exception_types=[ValidationError])
class LoadAllCompaniesMemories(_LoadAll):
    """Makes memories from the rows of all companies, behind live chat; again, it changes nothing."""

    owner_type = "company"

    @workflow.init
    def __init__(self, input: LoadAllInput = LoadAllInput()) -> None:  # noqa: A002, B008
        self.start_loading(input)

    @workflow.run
    async def run(self, input: LoadAllInput = LoadAllInput()) -> CompaniesLoaded:  # noqa: A002, ARG002, B008
        state = await self.load_all()
        return CompaniesLoaded(
            total_companies=state.loaded + state.failed,
            loaded_companies=state.loaded,
            failed_companies=state.failed,
            total_memories_created=state.memories,
        )


@workflow.defn(name="LoadAllUsersMemories", failure_exception_types=[ValidationError])
class LoadAllUsersMemories(_LoadAll):
    """Makes memories from the rows of all people, behind live chat; again, it changes nothing."""

    owner_type = "user"

    @workflow.init
    def __init__(self, input: LoadAllInput = LoadAllInput()) -> None:  # noqa: A002, B008
        self.start_loading(input)

    @workflow.run
    async def run(self, input: LoadAllInput = LoadAllInput()) -> UsersLoaded:  # noqa: A002, ARG002, B008
        state = await self.load_all()
        return UsersLoaded(
            total_users=state.loaded + state.failed,
            loaded_users=state.loaded,
            failed_users=state.failed,
            total_memories_created=state.memories,
        )
