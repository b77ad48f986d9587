"""Starts the deliveries of webhooks that are to be told something."""

import asyncio
import logging
from collections.abc import Collection
from uuid import UUID

from afterturn_client.names import MEMORY_QUEUE
from temporalio.client import Client
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput, Interceptor

from activities.priorities import behind_chat
from activities.webhook_steps import WebhookInput
from services.postgres.api.outbox import Outbox

DELIVER_WEBHOOKS = "DeliverWebhooks"
# The sweep sees to the others.
_MOST_AT_ONCE = 20
# Most installations have no webhook: under load they look so often, however many steps are done.
_LOOK_SECONDS = 1.0

logger = logging.getLogger(__name__)


def deliver_webhooks_id(webhook: UUID) -> str:
    return f"deliver-webhooks:{webhook}"


class WebhookWaker:
    def __init__(self, client: Client, outbox: Outbox) -> None:
        self._client = client
        self._outbox = outbox
        self._asked = False
        self._looking: asyncio.Task[None] | None = None

    async def wake_all(self) -> int:
        """Start a delivery for each webhook that waits for something and has none; answer how many were started."""
        waiting = await self._outbox.waiting()
        running = await self._running() if waiting else set()
        return await self.start([webhook for webhook in waiting if deliver_webhooks_id(webhook) not in running])

    def wake_soon(self) -> None:
        """Have deliveries started for endpoints that answered the last time: at once, or a second after the last look.

        What cannot be started then, or not before `stop`, the sweep starts.
        """
        self._asked = True
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look())

    async def stop(self) -> None:
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.gather(self._looking, return_exceptions=True)

    async def start(self, webhooks: Collection[UUID]) -> int:
        return sum([await self._start(webhook) for webhook in webhooks])

    async def _look(self) -> None:
        while self._asked:
            # Before it looks: what is queued meanwhile is looked for again.
            self._asked = False
            try:
                await self.start(await self._outbox.waiting(besides_failing=True, limit=_MOST_AT_ONCE))
            except Exception as error:  # noqa: BLE001  nobody waits for it
                logger.info("webhooks wait for the next sweep: %s", type(error).__name__)
            await asyncio.sleep(_LOOK_SECONDS)

    async def _running(self) -> set[str]:
        found = self._client.list_workflows(f"WorkflowType = '{DELIVER_WEBHOOKS}' AND ExecutionStatus = 'Running'")
        return {execution.id async for execution in found}

    async def _start(self, webhook: UUID) -> bool:
        try:
            await self._client.start_workflow(
                DELIVER_WEBHOOKS,
                WebhookInput(webhook_id=str(webhook)),
                id=deliver_webhooks_id(webhook),
                task_queue=MEMORY_QUEUE,
                priority=behind_chat(str(webhook)),
            )
        except WorkflowAlreadyStartedError:
            return False
        return True


class WakeWebhooks(Interceptor):
    """Wakes deliveries when a step is done that may have queued events: sooner than the next sweep would."""

    def __init__(self, waker: WebhookWaker, steps: Collection[str]) -> None:
        self._waker = waker
        self._steps = frozenset(steps)

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:  # noqa: A002
        return _Waking(super().intercept_activity(next), self._waker, self._steps)


class _Waking(ActivityInboundInterceptor):
    def __init__(self, next: ActivityInboundInterceptor, waker: WebhookWaker, steps: frozenset[str]) -> None:  # noqa: A002
        super().__init__(next)
        self._waker = waker
        self._steps = steps

    async def execute_activity(self, input: ExecuteActivityInput) -> object:  # noqa: A002
        answer = await self.next.execute_activity(input)
        if input.fn.__name__ in self._steps:
            self._waker.wake_soon()
        return answer
