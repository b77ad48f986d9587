"""A session's state, and what is kept for a moment: `/v1/sessions/{session_id}`, `/v1/temporary`.

They are the caller's own, or those of whom `user_id` or `company_id` names.
"""

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel

from services.domain.sections import DEFAULT_NAMESPACE
from services.memory_api.cursors import CursorParam, LimitParam, as_text, read_cursor, write_cursor
from services.memory_api.documented import problems
from services.memory_api.fields import IdPath
from services.memory_api.guard import ApiParam
from services.memory_api.named_values import (
    KeyPage,
    KeyPath,
    NamespaceParam,
    PrefixParam,
    SeenOwn,
    TemporaryIn,
    ValueIn,
    ValueOut,
    WrittenOwn,
    key_page,
    value_out,
)
from services.memory_api.problems import not_found

router = APIRouter(prefix="/v1", tags=["Sections"])
SharedParam = Annotated[bool, Query(description="What all sessions of the owner share, and not this one's own.")]


class SessionEnded(BaseModel):
    values: int


@router.get("/sessions/{session_id}/state", responses=problems(404), summary="List a session's state")
async def states(  # noqa: PLR0913, PLR0917  each is a parameter of the route
    session_id: IdPath,
    owner: SeenOwn,
    api: ApiParam,
    namespace: NamespaceParam = DEFAULT_NAMESPACE,
    prefix: PrefixParam = "",
    cursor: CursorParam = None,
    limit: LimitParam = 50,
    shared: SharedParam = False,  # noqa: FBT002  as FastAPI takes it
) -> KeyPage:
    """List keys in their order, without what they hold."""
    after = read_cursor(cursor, as_text)
    page = await api.resources.sections.list_keys(
        owner,
        "session_state",
        namespace=namespace,
        session_id=None if shared else session_id,
        prefix=prefix,
        cursor=after[0] if after else None,
        limit=limit,
    )
    return key_page(page, write_cursor)


@router.get("/sessions/{session_id}/state/{key:path}", responses=problems(404), summary="Read a session's value")
async def state(
    session_id: IdPath, key: KeyPath, owner: SeenOwn, api: ApiParam, namespace: NamespaceParam = DEFAULT_NAMESPACE
) -> ValueOut:
    """Give the session's own value, else the one that all sessions of the owner share."""
    found = await api.resources.sections.get_session_state(owner, session_id, key, namespace=namespace)
    if found is None:
        raise not_found("value")
    return value_out(found)


@router.put("/sessions/{session_id}/state/{key:path}", responses=problems(404, 413), summary="Keep a session's value")
async def put_state(
    session_id: IdPath,
    key: KeyPath,
    body: ValueIn,
    owner: WrittenOwn,
    api: ApiParam,
    namespace: NamespaceParam = DEFAULT_NAMESPACE,
    shared: SharedParam = False,  # noqa: FBT002  as FastAPI takes it
) -> ValueOut:
    """Keep a value until the session ends; a shared one while any session uses it."""
    kept = await api.resources.sections.set_session_state(
        owner, session_id, key, body.value, namespace=namespace, shared=shared
    )
    return value_out(kept)


@router.delete(
    "/sessions/{session_id}/state/{key:path}",
    status_code=204,
    responses=problems(404),
    summary="Delete a session's value",
)
async def delete_state(
    session_id: IdPath,
    key: KeyPath,
    owner: WrittenOwn,
    api: ApiParam,
    namespace: NamespaceParam = DEFAULT_NAMESPACE,
    shared: SharedParam = False,  # noqa: FBT002  as FastAPI takes it
) -> None:
    await api.resources.sections.delete(
        owner, "session_state", key, namespace=namespace, session_id=None if shared else session_id
    )


@router.delete("/sessions/{session_id}", responses=problems(404), summary="End a session")
async def end(session_id: IdPath, owner: WrittenOwn, api: ApiParam) -> SessionEnded:
    """Forget the session's own state, and say how many values it had. What sessions share stays."""
    return SessionEnded(values=await api.resources.sections.end_session(owner, session_id))


@router.put("/temporary/{key:path}", responses=problems(404, 413), summary="Keep a value for a moment")
async def put_temporary(
    key: KeyPath, body: TemporaryIn, owner: WrittenOwn, api: ApiParam, namespace: NamespaceParam = DEFAULT_NAMESPACE
) -> ValueOut:
    kept = await api.resources.sections.set_temporary(
        owner, key, body.value, ttl_seconds=body.ttl_seconds, namespace=namespace
    )
    return value_out(kept)


@router.get("/temporary/{key:path}", responses=problems(404), summary="Read a value of a moment")
async def temporary(
    key: KeyPath, owner: SeenOwn, api: ApiParam, namespace: NamespaceParam = DEFAULT_NAMESPACE
) -> ValueOut:
    found = await api.resources.sections.get_temporary(owner, key, namespace=namespace)
    if found is None:
        raise not_found("value")
    return value_out(found)


@router.delete("/temporary/{key:path}", status_code=204, responses=problems(404), summary="Delete a value of a moment")
async def delete_temporary(
    key: KeyPath, owner: WrittenOwn, api: ApiParam, namespace: NamespaceParam = DEFAULT_NAMESPACE
) -> None:
    await api.resources.sections.delete(owner, "temporary", key, namespace=namespace)
