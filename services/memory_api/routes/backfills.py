"""Memories from rows: started, watched, steered."""

from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any, Literal, Self

from fastapi import APIRouter, Body, Path, Response
from pydantic import BaseModel, ConfigDict, Field, model_validator

from services.credential import Credential
from services.domain.memories import OwnerType, owner_of
from services.memory_api.api import Api
from services.memory_api.cursors import LimitParam
from services.memory_api.documented import problems
from services.memory_api.fields import Id, Moment
from services.memory_api.guard import Admin, ApiParam
from services.memory_api.problems import ProblemError, not_found
from services.memory_api.temporal_answers import temporal_answers
from services.operations.backfill_runs import RunState, backfill_runs
from services.operations.backfills import Backfill, BackfillRunningError, Backfills, BackfillUnknownError, State
from workflows.load_memories import LoadAllInput
from workflows.names import load_memories_id
from workflows.pacing import MaxPerSecond

router = APIRouter(prefix="/v1/backfills", tags=["Operators"])
BackfillPath = Annotated[
    str, Path(pattern=r"^load-[a-z-]{1,40}(:[A-Za-z0-9_.:-]{1,200})?$", description="As starting it answered.")
]
_ONE: dict[str, OwnerType] = {"load-user-memories": "user", "load-company-memories": "company"}


class BackfillIn(BaseModel):
    """Whose rows become memories: one person's or company's, or all people's or companies'."""

    model_config = ConfigDict(extra="forbid")

    of: Literal["user", "company", "users", "companies"]
    id: Id | None = Field(None, description="Of one person or company; none for all of them.")
    since: Moment | None = Field(None, description="Of all: only those whose row changed since then.")
    only_missing: bool = Field(False, description="Of all: only those of whom no row told anything yet.")
    dry_run: bool = Field(False, description="Count what would be written, and write nothing.")
    batch_size: int = Field(100, ge=1, le=1_000)
    max_per_second: MaxPerSecond | None = Field(None, description="How many owners a second at the most.")

    @model_validator(mode="after")
    def _names_one_or_all(self) -> Self:
        if (self.of in ("user", "company")) != (self.id is not None):
            raise ValueError("takes an id with `user` and `company`, and with no other")
        return self


class BackfillStarted(BaseModel):
    id: str


class ProgressOut(BaseModel):
    done: int
    failed: int
    total: int | None
    share: float | None
    per_second: float
    eta_seconds: float | None
    max_per_second: float | None
    paused: bool


class BackfillRunOut(BaseModel):
    """One run. Whether one that runs is paused, and how far it is, is told by `GET /v1/backfills/{id}`."""

    id: str
    run_id: str
    state: RunState
    started_at: datetime
    ended_at: datetime | None


class BackfillRuns(BaseModel):
    backfills: list[BackfillRunOut]


class BackfillOut(BaseModel):
    """`progress` is null where no worker answers, and of a load of one owner; `result` where it is done."""

    id: str
    run_id: str
    state: State
    started_at: datetime
    ended_at: datetime | None
    progress: ProgressOut | None
    failed_ids: list[str] = Field(description="Some of the owners that failed; the worker's log names all of them.")
    result: dict[str, Any] | None
    reason: str | None = Field(description="Why it failed.")


@router.post("", status_code=202, responses=problems(404, 409, 413), summary="Start a backfill")
async def start(
    body: Annotated[BackfillIn, Body(openapi_examples={"all": {"value": {"of": "companies"}}})],
    api: ApiParam,
    caller: Admin,
    response: Response,
) -> BackfillStarted:
    """Start to make memories from rows. While the same runs already, the answer is a 409 with its id."""
    if body.id is None:
        _all_is_visible(caller)
    else:
        await api.access.owner(caller, owner_of(_kind(body), body.id), to_write=True)
    try:
        with temporal_answers():
            backfill_id = await _start(Backfills(api.resources.temporal), body)
    except BackfillRunningError as error:
        raise ProblemError(409, f"{error.backfill_id} is running already.", running_id=error.backfill_id) from None
    response.headers["Location"] = f"/v1/backfills/{backfill_id}"
    return BackfillStarted(id=backfill_id)


@router.get("", responses=problems(), summary="List backfills")
async def backfills(api: ApiParam, caller: Admin, limit: LimitParam = 50) -> BackfillRuns:
    """List the runs that Temporal still knows: those that run first, then the one that ended last.

    A credential of a person or a company is shown the loads of that person and company. For more than a page, there
    are Temporal's own.
    """
    with temporal_answers():
        found = await backfill_runs(api.resources.temporal, limit=limit, ids=_own(caller))
    return BackfillRuns(backfills=[BackfillRunOut(**asdict(run)) for run in found])


@router.get("/{backfill_id}", responses=problems(404), summary="Look at a backfill")
async def backfill(backfill_id: BackfillPath, api: ApiParam, caller: Admin) -> BackfillOut:
    """Say how a backfill is, or how its last run ended."""
    return await _described(api, caller, backfill_id)


@router.post("/{backfill_id}/pause", responses=problems(404), summary="Pause a backfill")
async def pause(backfill_id: BackfillPath, api: ApiParam, caller: Admin) -> BackfillOut:
    """Let it stop between two owners until it is resumed."""
    return await _steered(api, caller, backfill_id, "pause")


@router.post("/{backfill_id}/resume", responses=problems(404), summary="Resume a backfill")
async def resume(backfill_id: BackfillPath, api: ApiParam, caller: Admin) -> BackfillOut:
    return await _steered(api, caller, backfill_id, "resume")


@router.post("/{backfill_id}/cancel", responses=problems(404), summary="Cancel a backfill")
async def cancel(backfill_id: BackfillPath, api: ApiParam, caller: Admin) -> BackfillOut:
    """Ask it to stop for good; what it has written stands."""
    return await _steered(api, caller, backfill_id, "cancel")


async def _start(backfills: Backfills, body: BackfillIn) -> str:
    if body.id is not None:
        return await backfills.start_one(_kind(body), body.id, dry_run=body.dry_run)
    wanted = LoadAllInput(
        since=body.since,
        only_missing=body.only_missing,
        dry_run=body.dry_run,
        batch_size=body.batch_size,
        max_per_second=body.max_per_second,
    )
    return await backfills.start_all(_kind(body), wanted)


def _kind(body: BackfillIn) -> OwnerType:
    return "user" if body.of in ("user", "users") else "company"


async def _steered(
    api: Api, caller: Credential, backfill_id: str, how: Literal["pause", "resume", "cancel"]
) -> BackfillOut:
    await _see(api, caller, backfill_id, to_write=True)
    backfills = Backfills(api.resources.temporal)
    steer = {"pause": backfills.pause, "resume": backfills.resume, "cancel": backfills.cancel}[how]
    try:
        with temporal_answers():
            await steer(backfill_id)
    except BackfillUnknownError:
        raise not_found("backfill that runs") from None
    return await _described(api, caller, backfill_id)


async def _described(api: Api, caller: Credential, backfill_id: str) -> BackfillOut:
    await _see(api, caller, backfill_id)
    try:
        with temporal_answers():
            return _backfill(await Backfills(api.resources.temporal).describe(backfill_id))
    except BackfillUnknownError:
        raise not_found("backfill") from None


async def _see(api: Api, caller: Credential, backfill_id: str, *, to_write: bool = False) -> None:
    named, _, owner_id = backfill_id.partition(":")
    kind = _ONE.get(named)
    if kind is None or not owner_id:
        _all_is_visible(caller)
    else:
        await api.access.owner(caller, owner_of(kind, owner_id), to_write=to_write)


def _own(caller: Credential) -> list[str] | None:
    """Give the ids of the loads that a credential may list; None is all of them."""
    if caller.tenant is None:
        return None
    bound: dict[OwnerType, str | None] = {"user": caller.binding.user_id, "company": caller.binding.company_id}
    return [load_memories_id(kind, id_) for kind, id_ in bound.items() if id_ is not None]


def _all_is_visible(caller: Credential) -> None:
    if caller.tenant is not None:
        raise not_found("backfill")


def _backfill(found: Backfill) -> BackfillOut:
    return BackfillOut(
        id=found.id,
        run_id=found.run_id,
        state=found.state,
        started_at=found.started_at,
        ended_at=found.ended_at,
        progress=ProgressOut(**found.progress.model_dump()) if found.progress else None,
        failed_ids=list(found.failed_ids),
        result=found.result.model_dump(mode="json") if found.result else None,
        reason=found.reason,
    )
