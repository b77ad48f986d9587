"""Mem0's webhooks: each is a hint that a memory changed. Nothing of it is kept but the memory's id."""

import hmac
import json
import re
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request
from pydantic import BaseModel
from temporalio.client import Client
from temporalio.service import RPCError

from activities.priorities import behind_chat
from activities.webhook_steps import MEMORY_ID_PATTERN, MemoryHintInput
from services.memory_api.api import Api
from services.memory_api.documented import problems
from services.memory_api.guard import ApiParam
from services.memory_api.problems import not_found, unavailable
from workflows.names import MEMORY_QUEUE, RECONCILE_MEMORY, reconcile_memory_id

router = APIRouter(prefix="/v1/webhooks/mem0", tags=["Operators"])
_MEMORY_ID = re.compile(MEMORY_ID_PATTERN)
_BODY = {"content": {"application/json": {"schema": {"type": "object"}}}, "description": "As Mem0 sends it."}


class Hint(BaseModel):
    """Whether it named a memory."""

    taken: bool


@router.post(
    "/{token}",
    status_code=202,
    responses=problems(404, 413),
    openapi_extra={"requestBody": _BODY},
    summary="Take Mem0's webhook",
)
async def hint(token: Annotated[str, Path(max_length=500)], request: Request, api: ApiParam) -> Hint:
    """Look at the memory that Mem0 speaks of, some seconds later and once for many hints. Without the token: 404."""
    if not _is_right(api, token):
        raise not_found("route")
    memory_id = _memory_id(await request.body())
    if memory_id is not None:
        await _hint(api.resources.temporal, memory_id)
    return Hint(taken=memory_id is not None)


def _is_right(api: Api, token: str) -> bool:
    """Compare in constant time: how long it takes must not tell how much of a guess was right."""
    return api.mem0_token is not None and hmac.compare_digest(token.encode(), api.mem0_token.encode())


def _memory_id(body: bytes) -> str | None:
    try:
        told: Any = json.loads(body)
    except (ValueError, RecursionError):
        return None
    details = told.get("event_details") if isinstance(told, dict) else None
    named = details.get("id") if isinstance(details, dict) else None
    return named if isinstance(named, str) and _MEMORY_ID.fullmatch(named) else None


async def _hint(client: Client, memory_id: str) -> None:
    try:
        await client.start_workflow(
            RECONCILE_MEMORY,
            MemoryHintInput(memory_id=memory_id),
            id=reconcile_memory_id(memory_id),
            task_queue=MEMORY_QUEUE,
            start_signal="hinted",
            priority=behind_chat(None),
        )
    except (RPCError, RuntimeError):
        raise unavailable("Temporal does not answer.") from None
