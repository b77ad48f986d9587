"""What the `webhooks` commands do."""

from collections.abc import AsyncIterator, Iterable
from dataclasses import asdict
from datetime import UTC, datetime
from typing import cast
from uuid import UUID

from temporalio.service import RPCError

from activities.waking_webhooks import WebhookWaker
from services.cli.exit_codes import OK, CommandFailedError
from services.cli.output import Output
from services.cli.reaching import opened
from services.domain.errors import InvalidInputError
from services.domain.memories import Owner, owner_of
from services.domain.webhooks import EVENT_TYPES, EventType, address_of, make_secret
from services.postgres.api.outbox import Outbox
from services.postgres.api.webhooks import Webhook, Webhooks
from services.resources import Resources
from services.settings import WebhookSettings, load

PAGE = 500


async def add(output: Output, url: str, events: Iterable[str], *, user: str | None, company: str | None) -> int:
    address_of(url, allow_private=load(WebhookSettings).webhook_allow_private)
    owner, wanted, secret = _owner(user, company), _events(events), make_secret()
    async with opened("postgres") as resources:
        added = await Webhooks(resources.database).add(url, wanted, owner, secret=secret)
    output.emit({**_facts(added), "secret": secret})
    output.table(("", ""), [*_facts(added).items(), ("secret", secret)])
    output.note("the secret is told once: receivers check with it that an event is ours")
    return OK


async def list_all(output: Output) -> int:
    async with opened("postgres") as resources:
        found = [each async for page in _pages(Webhooks(resources.database)) for each in page]
    output.emit({"webhooks": [_facts(each) for each in found]})
    output.table(
        ("id", "url", "events", "owner", "waiting", "failing since", "failure", "ended"),
        ((w.id, w.url, ", ".join(w.events), w.owner, w.waiting, w.failing_since, w.failure, w.ended) for w in found),
    )
    if not found:
        output.note("there is no webhook")
    return OK


async def remove(output: Output, webhook_id: UUID) -> int:
    async with opened("postgres") as resources:
        if not await Webhooks(resources.database).remove(webhook_id):
            raise _unknown(webhook_id)
    output.emit({"removed": str(webhook_id)})
    output.print(f"removed {webhook_id}")
    return OK


async def replay(output: Output, webhook_id: UUID, since: datetime) -> int:
    since = since if since.tzinfo else since.replace(tzinfo=UTC)
    async with opened("postgres") as resources:
        events = await Webhooks(resources.database).replay(webhook_id, since)
        if events is None:
            raise _unknown(webhook_id)
        await _wake(output, resources, webhook_id)
    output.emit({"events": events})
    output.print(f"{events} events are told again")
    return OK


async def _wake(output: Output, resources: Resources, webhook_id: UUID) -> None:
    try:
        await WebhookWaker(resources.temporal, Outbox(resources.database)).start([webhook_id])
    except (RPCError, RuntimeError):
        output.note("Temporal was not reached: the next sweep delivers them once it is back")


async def _pages(webhooks: Webhooks) -> AsyncIterator[list[Webhook]]:
    after = None
    while page := await webhooks.page(after=after, limit=PAGE):
        yield page
        after = (page[-1].created_at, page[-1].id)


def _owner(user: str | None, company: str | None) -> Owner | None:
    if user is not None and company is not None:
        raise InvalidInputError("--company", "nothing, where --user is given")
    if user is not None:
        return owner_of("user", user)
    return owner_of("company", company) if company is not None else None


def _events(named: Iterable[str]) -> tuple[EventType, ...]:
    wanted = tuple(dict.fromkeys(named)) or EVENT_TYPES
    if not set(wanted) <= set(EVENT_TYPES):
        raise InvalidInputError("--event", " or ".join(EVENT_TYPES))
    return cast("tuple[EventType, ...]", wanted)


def _unknown(webhook_id: UUID) -> CommandFailedError:
    return CommandFailedError(f"no webhook has the id {webhook_id}")


def _facts(webhook: Webhook) -> dict[str, object]:
    return asdict(webhook) | {"owner": str(webhook.owner) if webhook.owner else None}
