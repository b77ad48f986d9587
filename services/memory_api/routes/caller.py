"""`GET /v1/caller`: what a credential may do here, so that a page can be made for it."""

from fastapi import APIRouter
from pydantic import BaseModel, Field

from services.credential import ANYBODY
from services.domain.credentials import SCOPES, Scope
from services.memory_api.documented import problems
from services.memory_api.guard import Anyone, ApiParam

router = APIRouter(prefix="/v1/caller", tags=["Operators"])


class CallerOut(BaseModel):
    """Who asks, and what there is to see. Without `needs_credential` nobody has made a key yet."""

    needs_credential: bool
    scopes: list[Scope]
    user_id: str | None
    company_id: str | None
    keeps_memories: bool = Field(description="Whether Mem0 is configured.")
    temporal_ui_url: str | None
    temporal_namespace: str


@router.get("", responses=problems(), summary="Who am I?")
async def caller(api: ApiParam, caller: Anyone) -> CallerOut:
    return CallerOut(
        needs_credential=caller is not ANYBODY,
        scopes=[scope for scope in SCOPES if caller.may(scope)],
        user_id=caller.binding.user_id,
        company_id=caller.binding.company_id,
        keeps_memories=api.resources.memories.is_configured,
        temporal_ui_url=api.temporal_ui_url,
        temporal_namespace=api.resources.temporal.namespace,
    )
