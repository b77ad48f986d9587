"""Deliveries are started soon after an event was committed, and however many steps ask, few looks find them."""

import asyncio
from uuid import UUID

import pytest
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.service import RPCError

from activities.waking_webhooks import WebhookWaker, deliver_webhooks_id
from services.domain.memories import owner_of
from services.postgres.api.outbox import Outbox
from services.postgres.database import Database
from tests.support.webhook_events import add_webhook, remember

ANA = owner_of("user", "ana")


class CountedOutbox(Outbox):
    looks = 0

    async def waiting(self, *, besides_failing: bool = False, limit: int | None = None) -> list[UUID]:
        self.looks += 1
        return await super().waiting(besides_failing=besides_failing, limit=limit)


async def started(client: Client, webhook: UUID) -> None:
    async with asyncio.timeout(20):
        while True:
            try:
                await client.get_workflow_handle(deliver_webhooks_id(webhook)).describe()
            except RPCError:
                await asyncio.sleep(0.05)
            else:
                return


@pytest.fixture
async def client(temporal_address: str, temporal_namespace: str) -> Client:
    return await Client.connect(temporal_address, namespace=temporal_namespace, data_converter=pydantic_data_converter)


async def test_who_asks_while_others_look_is_looked_for_and_looks_are_shared(
    database: Database, client: Client
) -> None:
    outbox = CountedOutbox(database)
    waker = WebhookWaker(client, outbox)
    for number in range(2):
        # Each is committed at another time of a look and of the pause after it.
        webhook = await add_webhook(database)
        for step in range(50):
            if step == 10 * (number + 1):
                await remember(database, ANA, f"fact-{number}", "Ana lives in Lima.")
            waker.wake_soon()
            await asyncio.sleep(0.001)
        await started(client, webhook.id)
    assert outbox.looks < 20
    await waker.stop()
    looks = outbox.looks
    assert len(asyncio.all_tasks()) == 1
    await asyncio.sleep(1.2)
    assert outbox.looks == looks


async def test_a_look_that_fails_is_not_the_last(database: Database, client: Client) -> None:
    class Failing(Outbox):
        fails = True

        async def waiting(self, *, besides_failing: bool = False, limit: int | None = None) -> list[UUID]:
            if self.fails:
                raise ValueError("the secret words")
            return await super().waiting(besides_failing=besides_failing, limit=limit)

    outbox = Failing(database)
    waker = WebhookWaker(client, outbox)
    webhook = await add_webhook(database)
    await remember(database, ANA, "city", "Ana lives in Lima.")
    waker.wake_soon()
    await asyncio.sleep(0.1)
    outbox.fails = False
    waker.wake_soon()
    await started(client, webhook.id)
    await waker.stop()
