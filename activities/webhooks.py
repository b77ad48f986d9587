"""Delivers what webhooks are to be told, one event after the other."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from uuid import UUID

from temporalio import activity

from activities.heartbeats import heartbeating
from activities.webhook_steps import DeliverResult, WebhookInput
from services.domain.errors import EndpointFailedError, TransientError
from services.postgres.api.outbox import Endpoint, Event, Outbox
from services.settings import WebhookSettings
from services.webhooks.sending import Connection, EndpointGoneError, body_of

BATCH_EVENTS = 10
# How long one step goes on, and for how long an endpoint's silence is waited out: what comes then costs no new run.
STEP_SECONDS = 20.0
QUIET_SECONDS = 3.0
LOOK_SECONDS = 0.5
# Of a worker's steps no more are deliveries, for endpoints may be slow; the others wait outside.
MOST_AT_ONCE = 10
_ANOTHER_TURN_SECONDS = 1.0
# An endpoint that answers so does not understand the event. After so many times it never will.
_REFUSALS = (400, 406, 413, 415, 422)
_MOST_REFUSALS = 8


class _Spell:
    """How long a step goes on, and how long nothing came."""

    def __init__(self) -> None:
        self._ends = time.monotonic() + STEP_SECONDS
        self._quiet_since = time.monotonic()

    def is_over(self) -> bool:
        return time.monotonic() >= self._ends

    def is_quiet(self) -> bool:
        return time.monotonic() >= self._quiet_since + QUIET_SECONDS

    def something_came(self) -> None:
        self._quiet_since = time.monotonic()


class WebhookActivities:
    def __init__(self, outbox: Outbox, settings: WebhookSettings) -> None:
        self._outbox = outbox
        self._settings = settings
        self._at_work = 0

    @activity.defn
    async def deliver(self, input: WebhookInput) -> DeliverResult:  # noqa: A002
        """Deliver in order until nothing comes any more, or for some seconds.

        Raises `EndpointFailedError` at the first event that is not taken: those behind it wait with it, here and not in
        the workflow's history.
        """
        webhook = UUID(input.webhook_id)
        async with self._turn(), heartbeating():
            endpoint = await self._outbox.endpoint(webhook)
            if endpoint is None:
                return DeliverResult()
            async with Connection.open(
                endpoint.url,
                seconds=self._settings.webhook_timeout,
                allow_private=self._settings.webhook_allow_private,
            ) as connection:
                return await self._deliver(webhook, endpoint, connection)

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        if self._at_work >= MOST_AT_ONCE:
            raise TransientError("other endpoints are told first", retry_after=_ANOTHER_TURN_SECONDS)
        self._at_work += 1
        try:
            yield
        finally:
            self._at_work -= 1

    async def _deliver(self, webhook: UUID, endpoint: Endpoint, connection: Connection) -> DeliverResult:
        done, spell = DeliverResult(), _Spell()
        while not spell.is_over():
            events = await self._outbox.next(webhook, limit=BATCH_EVENTS)
            if not events and spell.is_quiet():
                return done
            if not events:
                await asyncio.sleep(LOOK_SECONDS)
                continue
            for event in events:
                taken = await self._tell(webhook, event, endpoint, connection)
                if taken is None:
                    return done
                done = _plus(done, taken=taken)
                if spell.is_over():
                    break
            spell.something_came()
        return done.model_copy(update={"left": True})

    async def _tell(self, webhook: UUID, event: Event, endpoint: Endpoint, connection: Connection) -> bool | None:
        """Tell one event; answer whether the endpoint took it, False when it is set aside, None when it was the last.

        Whoever is killed after the endpoint took it, and before that is written down, tells it again under its id.
        """
        body = body_of(event.id, event.type, event.occurred_at, event.data)
        try:
            await connection.post(event.id, body, secret=endpoint.secret)
        except EndpointGoneError:
            await self._outbox.gone(webhook)
            return None
        except EndpointFailedError as error:
            if error.status in _REFUSALS and event.attempts + 1 >= _MOST_REFUSALS:
                await self._outbox.refused(event)
                return False
            give_up = timedelta(days=self._settings.webhook_give_up_days)
            if await self._outbox.failed(webhook, event, str(error), give_up_after=give_up):
                return None
            raise
        await self._outbox.delivered(webhook, event)
        return True


def _plus(done: DeliverResult, *, taken: bool) -> DeliverResult:
    return DeliverResult(delivered=done.delivered + taken, refused=done.refused + (not taken))
