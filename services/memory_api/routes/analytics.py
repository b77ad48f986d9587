"""What the daily analyses counted, and their plots."""

import asyncio
from dataclasses import asdict
from datetime import date, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, Field, JsonValue

from services.analytics.plots import PlotName, draw
from services.analytics.taking import Analysis, Analytics
from services.credential import Credential
from services.memory_api.api import Api
from services.memory_api.documented import problems
from services.memory_api.guard import Admin, ApiParam
from services.memory_api.problems import not_found
from services.postgres.upkeep.analyses import Analyses
from services.settings import AnalyticsSettings, load

router = APIRouter(prefix="/v1/analytics", tags=["Operators"])
DaysParam = Annotated[int, Query(ge=1, le=730, description="How many of the last analyses.")]
_SVG: dict[str, Any] = {"image/svg+xml": {"schema": {"type": "string"}}}
_PNG: dict[str, Any] = {"image/png": {"schema": {"type": "string", "format": "binary"}}}


class AnalysisOut(BaseModel):
    """A day's figures, without content; one that took too long to count is null. `costs` are by the price table."""

    day: date
    taken_at: datetime
    figures: dict[str, JsonValue]
    costs: dict[str, JsonValue]
    recommendations: list[str]


class AnalysesOut(BaseModel):
    analyses: list[AnalysisOut] = Field(description="The oldest first; empty before the first was taken.")


@router.get("", responses=problems(404), summary="Read the analyses")
async def analytics(api: ApiParam, caller: Admin, days: DaysParam = 30) -> AnalysesOut:
    """Give the last days' figures, with what they cost and what they call for."""
    found = await _recent(api, caller, days)
    return AnalysesOut(analyses=[AnalysisOut.model_validate(asdict(one)) for one in found])


@router.get(
    "/plots/{name}.svg",
    response_class=Response,
    responses={200: {"content": _SVG}, **problems(404)},
    summary="Draw a plot",
)
async def plot(name: PlotName, api: ApiParam, caller: Admin, days: DaysParam = 30) -> Response:
    found = await _recent(api, caller, days)
    drawn = await asyncio.to_thread(draw, name, found, file_format="svg")
    return Response(drawn, media_type="image/svg+xml")


@router.get(
    "/plots/{name}.png",
    response_class=Response,
    responses={200: {"content": _PNG}, **problems(404)},
    summary="Draw a plot as PNG",
)
async def plot_as_png(name: PlotName, api: ApiParam, caller: Admin, days: DaysParam = 30) -> Response:
    found = await _recent(api, caller, days)
    return Response(await asyncio.to_thread(draw, name, found, file_format="png"), media_type="image/png")


async def _recent(api: Api, caller: Credential, days: int) -> list[Analysis]:
    # They count, and name, everybody's rooms.
    if caller.tenant is not None:
        raise not_found("analysis")
    analytics = Analytics(Analyses(api.resources.database), load(AnalyticsSettings).token_prices)
    return await analytics.recent(days=days)
