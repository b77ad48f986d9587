"""Webhooks: made, listed, removed, and told again."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Body, Path
from pydantic import BaseModel, ConfigDict, Field
from temporalio.service import RPCError

from services.credential import Credential
from services.domain.memories import Owner, OwnerType, owner_of
from services.domain.webhooks import MAX_URL, EventType, address_of, make_secret
from services.memory_api.api import Api
from services.memory_api.cursors import CursorParam, LimitParam, as_time, next_cursor, read_cursor, write_cursor
from services.memory_api.documented import problems
from services.memory_api.fields import Id, Moment
from services.memory_api.guard import Admin, ApiParam
from services.memory_api.problems import not_found, wrong_field
from services.postgres.api.webhooks import Webhook

router = APIRouter(prefix="/v1/webhooks", tags=["Operators"])
WebhookPath = Annotated[UUID, Path(description="The webhook's id.")]


class WebhookIn(BaseModel):
    """An endpoint that is told of what happens: of one person's or one company's events, or, bound to nobody, of all.

    The webhooks that a bound credential makes are bound to whom it speaks for.
    """

    model_config = ConfigDict(extra="forbid")

    url: str = Field(max_length=MAX_URL, description="With https://.", examples=["https://example.org/afterturn"])
    events: list[EventType] = Field(min_length=1, max_length=10)
    user_id: Id | None = None
    company_id: Id | None = None


class WebhookOwner(BaseModel):
    """`external_id` is the id that the webhook was made with, where that is no UUID."""

    type: OwnerType
    id: UUID
    external_id: str | None


class WebhookOut(BaseModel):
    """`ended` is why it is told nothing any more; `failing_since` is when its endpoint stopped to take events.

    `failure` says how, and `waiting` is how many events wait.
    """

    id: UUID
    url: str
    events: list[EventType]
    owner: WebhookOwner | None
    ended: str | None
    failing_since: datetime | None
    failure: str | None
    waiting: int
    created_at: datetime


class WebhookMade(WebhookOut):
    secret: str = Field(description="What events are signed with. It is told once.")


class WebhookPage(BaseModel):
    webhooks: list[WebhookOut]
    next_cursor: str | None


class ReplayIn(BaseModel):
    model_config = ConfigDict(extra="forbid")

    since: Moment = Field(description="What happened from then on is told again.")


class ReplayOut(BaseModel):
    events: int = Field(description="How many events are told again.")


@router.post("", status_code=201, responses=problems(404, 413), summary="Make a webhook")
async def make(body: Annotated[WebhookIn, Body()], api: ApiParam, caller: Admin) -> WebhookMade:
    address_of(body.url, allow_private=api.allow_private_webhooks)
    owner, secret = await _owner(api, caller, body), make_secret()
    added = await api.webhooks.add(body.url, body.events, owner, secret=secret)
    return WebhookMade(**_webhook(added).model_dump(), secret=secret)


@router.get("", responses=problems(), summary="List webhooks")
async def webhooks(api: ApiParam, caller: Admin, cursor: CursorParam = None, limit: LimitParam = 50) -> WebhookPage:
    """List the webhooks, the oldest first; for a bound credential, those of whom it speaks for."""
    last = read_cursor(cursor, as_time, UUID)
    after = (last[0], last[1]) if last else None
    found = await api.webhooks.page(after=after, limit=limit, within=await api.access.written(caller))
    page = next_cursor(found, limit, lambda one: write_cursor(one.created_at, one.id))
    return WebhookPage(webhooks=[_webhook(one) for one in found], next_cursor=page)


@router.delete("/{webhook_id}", status_code=204, responses=problems(404), summary="Remove a webhook")
async def remove(webhook_id: WebhookPath, api: ApiParam, caller: Admin) -> None:
    """Remove a webhook, with all that it was to be told."""
    if not await api.webhooks.remove(webhook_id, within=await api.access.written(caller)):
        raise not_found("webhook")


@router.post("/{webhook_id}/replay", status_code=202, responses=problems(404, 413), summary="Tell events again")
async def replay(webhook_id: WebhookPath, body: Annotated[ReplayIn, Body()], api: ApiParam, caller: Admin) -> ReplayOut:
    """Tell again, in order and under the same ids, what happened since then and is kept. It revives what had ended."""
    within = await api.access.written(caller)
    events = await api.webhooks.replay(webhook_id, body.since, within=within)
    if events is None:
        raise not_found("webhook")
    await _wake(api, webhook_id)
    return ReplayOut(events=events)


async def _wake(api: Api, webhook_id: UUID) -> None:
    """Start its delivery now; where Temporal is away, the sweep does it later."""
    try:
        await api.waker.start([webhook_id])
    except (RPCError, RuntimeError):
        return


async def _owner(api: Api, caller: Credential, body: WebhookIn) -> Owner | None:
    if body.user_id is not None and body.company_id is not None:
        raise wrong_field("body.company_id", "nothing, where user_id is given")
    owner = None
    if body.user_id is not None:
        owner = owner_of("user", body.user_id)
    elif body.company_id is not None:
        owner = owner_of("company", body.company_id)
    elif caller.tenant is not None:
        owner = caller.company or caller.person
    if owner:
        await api.access.owner(caller, owner, to_write=True)
    return owner


def _webhook(found: Webhook) -> WebhookOut:
    owner = found.owner
    return WebhookOut(
        id=found.id,
        url=found.url,
        events=list(found.events),
        owner=WebhookOwner(type=owner.type, id=owner.id, external_id=owner.external_id) if owner else None,
        ended=found.ended,
        failing_since=found.failing_since,
        failure=found.failure,
        waiting=found.waiting,
        created_at=found.created_at,
    )
