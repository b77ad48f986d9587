"""What operators and orchestrators ask: is it alive, is it ready, what does it do?"""

from typing import Literal

from afterturn_client.redis_connection import REDIS_ERRORS
from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import BaseModel, Field
from sqlalchemy import text

from services.domain.errors import TransientError
from services.memory_api.api import Api
from services.memory_api.documented import problems
from services.memory_api.guard import Admin, ApiParam
from services.memory_api.problems import not_found
from services.memory_api.standing import standing

router = APIRouter(tags=["Operators"])
_METRICS = {"content": {"text/plain": {"schema": {"type": "string"}}}}


class Health(BaseModel):
    status: Literal["ok"] = "ok"


class Ready(BaseModel):
    """Ready is whoever can record: that takes Redis. Without Postgres nothing can be read."""

    status: Literal["ready", "not ready"]
    redis: bool = Field(description="Whether Redis answers.")
    postgres: bool = Field(description="Whether Postgres answers.")


@router.get("/health", summary="Is it alive?")
async def health() -> Health:
    return Health()


@router.get(
    "/ready", responses={503: {"model": Ready, "description": "Nothing can be recorded."}}, summary="Is it ready?"
)
async def ready(api: ApiParam, response: Response) -> Ready:
    """A server that has no Postgres stays ready: turns can be recorded, and must be."""
    redis, postgres = await _redis(api), await _postgres(api)
    if not redis:
        response.status_code = 503
    return Ready(status="ready" if redis else "not ready", redis=redis, postgres=postgres)


@router.get(
    "/metrics", response_class=Response, responses={200: _METRICS, **problems(404)}, summary="Figures for Prometheus"
)
async def metrics(api: ApiParam, caller: Admin) -> Response:
    # They count everybody's requests.
    if caller.tenant is not None:
        raise not_found("route")
    return Response(api.metrics.text() + await standing(api.resources), media_type=CONTENT_TYPE_LATEST)


async def _redis(api: Api) -> bool:
    try:
        await api.resources.redis.ping()
    except REDIS_ERRORS:
        return False
    return True


async def _postgres(api: Api) -> bool:
    try:
        async with api.resources.database.transaction() as session:
            await session.execute(text("select 1"))
    except TransientError:
        return False
    return True
