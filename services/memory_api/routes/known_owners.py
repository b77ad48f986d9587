"""`GET /v1/owners`: whose memories there are to look at."""

from dataclasses import asdict
from datetime import datetime
from typing import Literal
from uuid import UUID

from fastapi import APIRouter
from pydantic import BaseModel, Field

from services.memory_api.cursors import LimitParam
from services.memory_api.documented import problems
from services.memory_api.guard import ApiParam, Reader
from services.postgres.memories.known_owners import KnownOwners

router = APIRouter(prefix="/v1/owners", tags=["Rooms"])


class OwnerOut(BaseModel):
    type: Literal["user", "company"]
    id: UUID
    external_id: str | None = Field(description="What the chat service calls it, where that is no UUID or was said.")
    rooms: int
    last_archived_at: datetime


class OwnersOut(BaseModel):
    owners: list[OwnerOut]


@router.get("", responses=problems(), summary="List the owners of rooms")
async def owners(api: ApiParam, caller: Reader, limit: LimitParam = 50) -> OwnersOut:
    """List the people and companies whose rooms the credential sees, the one that was written to last first."""
    within = await api.access.owners(caller)
    found = await KnownOwners(api.resources.database).recent(limit=limit, within=within)
    return OwnersOut(owners=[OwnerOut.model_validate(asdict(one)) for one in found])
