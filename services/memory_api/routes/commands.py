"""The commands that a person or a company gave: `…/users/{owner_id}/commands`, `…/companies/{owner_id}/commands`."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field, JsonValue

from services.domain.sections import DEFAULT_NAMESPACE
from services.memory_api.cursors import CursorParam, LimitParam, as_number, read_cursor, write_cursor
from services.memory_api.documented import problems
from services.memory_api.fields import Id
from services.memory_api.guard import ApiParam, Writer
from services.memory_api.named_values import NamespaceParam
from services.memory_api.once import Done, IdempotencyKey, once
from services.memory_api.routes.memories import Seen, Written

router = APIRouter(tags=["Sections"])


class CommandIn(BaseModel):
    """A command, any JSON. The same `command_id` is added once, however often it is tried."""

    model_config = ConfigDict(extra="forbid")

    command: JsonValue = Field(examples=[{"run": "report"}])
    session_id: Id | None = None
    command_id: Id | None = None


class CommandAdded(BaseModel):
    id: UUID
    session_id: str | None
    added_at: datetime


class CommandOut(CommandAdded):
    command: JsonValue


class CommandPage(BaseModel):
    commands: list[CommandOut] = Field(description="The newest first.")
    next_cursor: str | None


@router.post(
    "/commands",
    status_code=201,
    response_model=CommandAdded,
    responses=problems(404, 409, 413),
    summary="Add a command",
)
async def add(
    body: CommandIn,
    owner: Written,
    request: Request,
    api: ApiParam,
    caller: Writer,
    namespace: NamespaceParam = DEFAULT_NAMESPACE,
    key: IdempotencyKey = None,
) -> Response:
    async def work() -> Done:
        added = await api.resources.sections.add_command_history(
            owner, body.command, session_id=body.session_id, namespace=namespace, command_id=body.command_id
        )
        return Done(CommandAdded(id=added.id, session_id=added.session_id, added_at=added.added_at), 201)

    return await once(api.repeated, request, caller, key, work)


@router.get("/commands", responses=problems(404), summary="List commands")
async def commands(
    owner: Seen,
    api: ApiParam,
    session_id: Annotated[Id | None, Query(description="Only this session's.")] = None,
    namespace: NamespaceParam = DEFAULT_NAMESPACE,
    cursor: CursorParam = None,
    limit: LimitParam = 50,
) -> CommandPage:
    before = read_cursor(cursor, as_number)
    page = await api.resources.sections.get_command_history(
        owner,
        session_id=session_id,
        namespace=namespace,
        cursor=str(before[0]) if before else None,
        limit=limit,
    )
    found = [
        CommandOut(id=one.id, session_id=one.session_id, added_at=one.added_at, command=one.command)
        for one in page.items
    ]
    return CommandPage(commands=found, next_cursor=write_cursor(int(page.cursor)) if page.cursor else None)
