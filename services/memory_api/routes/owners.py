"""Forgetting a person or a company, and exporting what is kept of them."""

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, Field

from services.domain.memories import Owner
from services.memories.exporting import Exporting
from services.memory_api.documented import problems
from services.memory_api.guard import Admin, ApiParam
from services.memory_api.problems import not_found
from services.memory_api.routes.memories import owner_of_path
from services.memory_api.temporal_answers import temporal_answers
from services.operations.forgetting import ForgettingRuns, ForgettingUnknownError

router = APIRouter(tags=["Owners"])
_ZIP: dict[str, Any] = {"application/zip": {"schema": {"type": "string", "format": "binary"}}}


async def _administered(owner: Annotated[Owner, Depends(owner_of_path)], api: ApiParam, caller: Admin) -> Owner:
    await api.access.owner(caller, owner, to_write=True)
    return owner


Administered = Annotated[Owner, Depends(_administered)]


class ForgetStarted(BaseModel):
    id: str


class ForgetReceipt(BaseModel):
    """What was erased where, as counts by place; `not_searched` is what is not ours to erase."""

    run_id: str
    erased: dict[str, int]
    own_row: str | None = Field(description="What became of the owner's own row.")
    not_searched: list[str]
    started_at: datetime
    forgotten_at: datetime | None
    finished_at: datetime | None


class ForgetOut(BaseModel):
    id: str
    run_id: str
    state: Literal["running", "done", "failed", "cancelled", "terminated"]
    step: str | None = Field(description="What it does now, where a worker answers.")
    receipt: ForgetReceipt | None


class ExportReady(BaseModel):
    """The archive is made while it is read, from its `Location`."""

    media_type: Literal["application/zip"] = "application/zip"


@router.post("/forget", status_code=202, responses=problems(404, 413), summary="Forget for good")
async def forget(owner: Administered, request: Request, api: ApiParam, response: Response) -> ForgetStarted:
    """Erase all that is kept of the owner, everywhere; safe to repeat. The receipt is at the answer's `Location`."""
    with temporal_answers():
        id_ = await ForgettingRuns(api.resources.temporal).start(owner.type, owner.external_id or str(owner.id))
    response.headers["Location"] = request.url.path
    return ForgetStarted(id=id_)


@router.get("/forget", responses=problems(404), summary="Look at a forgetting")
async def forgetting(owner: Administered, api: ApiParam) -> ForgetOut:
    """Say how the newest forgetting is, with its receipt once it is done."""
    try:
        with temporal_answers():
            found = await ForgettingRuns(api.resources.temporal).look(owner.type, owner.external_id or str(owner.id))
    except ForgettingUnknownError:
        raise not_found("forgetting") from None
    receipt = None
    if found.receipt:
        receipt = ForgetReceipt.model_validate(found.receipt.model_dump())
    return ForgetOut(id=found.id, run_id=found.run_id, state=found.state, step=found.step, receipt=receipt)


@router.post("/export", status_code=202, responses=problems(404, 413), summary="Ask for an export")
async def export(_owner: Administered, request: Request, response: Response) -> ExportReady:
    response.headers["Location"] = request.url.path
    return ExportReady()


@router.get(
    "/export",
    response_class=Response,
    responses={200: {"content": _ZIP, "description": "A ZIP of JSON lines, with a README."}, **problems(404)},
    summary="Read an export",
)
async def exported(owner: Administered, api: ApiParam) -> StreamingResponse:
    """Send all that is kept of the owner, made while it is sent; one that is cut off is no whole ZIP."""
    exporting = Exporting(api.resources.database, api.resources.owners_data)
    headers = {"Content-Disposition": f'attachment; filename="{owner.type}.zip"'}
    return StreamingResponse(exporting.stream(owner), media_type="application/zip", headers=headers)
