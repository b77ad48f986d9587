"""Webhooks out: exactly what happened is told, signed, in order, at least once, whatever breaks; and nobody waits."""

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from afterturn_client.memory_client import MemoryClient
from sqlalchemy import text

from activities.waking_webhooks import WebhookWaker, deliver_webhooks_id
from services.domain.memories import owner_of
from services.postgres.api.outbox import Outbox
from services.postgres.api.webhooks import Webhook, Webhooks
from services.resources import Resources
from services.worker.run import running_workers
from tests.support.listed_runs import until_listed_as_ended
from tests.support.openai_server import OpenAIServer
from tests.support.remembering import Finding, Remembering
from tests.support.rooms import until_digested
from tests.support.webhook_events import SECRET, add_webhook, changes, digest, queued, remember
from tests.support.webhook_receiver import Answer, Told, WebhookReceiver
from tests.support.worker_process import worker_process

ANA = owner_of("user", "42")
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _endpoints_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEBHOOK_ALLOW_PRIVATE", "true")


@pytest.fixture
async def receiver() -> AsyncIterator[WebhookReceiver]:
    async with WebhookReceiver() as opened:
        yield opened


async def wake(resources: Resources) -> int:
    """Do what the sweep does about webhooks."""
    return await WebhookWaker(resources.temporal, Outbox(resources.database)).wake_all()


async def told_events(resources: Resources, *ids: str) -> list[str]:
    """Let something happen; give the ids of all events that are queued by now."""
    await digest(resources.database, "user:42", *ids, user_id="42")
    return [str(row.event_id) for row in await queued(resources.database)]


async def ended(resources: Resources, webhook: Webhook) -> None:
    """Wait until a delivery has ended, and whoever looks for those that run sees it."""
    workflow_id = deliver_webhooks_id(webhook.id)
    await asyncio.wait_for(resources.temporal.get_workflow_handle(workflow_id).result(), 60)
    await until_listed_as_ended(resources.temporal, workflow_id)


async def test_what_became_of_a_turn_is_told_signed_and_in_order(
    worker: None, resources: Resources, memory: MemoryClient, model: OpenAIServer, receiver: WebhookReceiver
) -> None:
    model.answer = Remembering(
        [Finding("choir practice on Thursdays", "The user has choir practice on Thursdays at 19:00.", slug="choir")]
    )
    webhook = await add_webhook(resources.database, ANA, receiver.url)
    await memory.record_turn("user:42", user="I have choir practice on Thursdays at 19:00.", assistant="Noted!")
    await memory.record_turn("user:43", user="I have choir practice on Thursdays at 19:00.", assistant="Noted!")
    for room in ("user:42", "user:43"):
        await until_digested(resources, room, 2, seconds=60)
    told = await receiver.has_taken(3)
    await ended(resources, webhook)
    assert len(receiver.asked) == 3
    assert [one.event["type"] for one in told] == ["memory.changed", "message.digested", "message.digested"]
    assert {one.path for one in told} == {"/hooks?token=t"}
    for one in told:
        assert one.is_signed_with(SECRET)
        assert one.headers["webhook-id"] == one.id
        assert one.headers["content-type"] == "application/json"
        assert abs(int(one.headers["webhook-timestamp"]) - datetime.now(UTC).timestamp()) < 300
        assert b"choir" not in one.body
        assert one.event["data"]["owner"]["external_id"] == "42"
    [remembered] = await resources.brain.get_all_by_user("42")
    changed = told[0].event["data"]
    assert (changed["change"], changed["memory_id"]) == ("created", remembered.memory_id)
    assert changed["version_id"] == str(remembered.version_id)
    messages = await resources.rooms.messages("user:42")
    assert [one.event["data"]["message_id"] for one in told[1:]] == [message.id for message in messages]
    history = await resources.temporal.get_workflow_handle(deliver_webhooks_id(webhook.id)).fetch_history()
    written = json.dumps(history.to_json_dict())
    assert SECRET not in written
    assert receiver.url not in written


async def test_an_endpoint_that_comes_back_is_told_everything_in_order_and_no_other_waits(
    worker: None, resources: Resources, receiver: WebhookReceiver
) -> None:
    async with WebhookReceiver() as away:
        waits = await add_webhook(resources.database, url=away.url)
        others = await add_webhook(resources.database, url=receiver.url)
        await away.down()
        await told_events(resources, "m1", "m2")
        await wake(resources)
        assert [one.event["data"]["message_id"] for one in await receiver.has_taken(2)] == ["m1", "m2"]
        await ended(resources, others)
        # More comes while it is away; the sweep leaves the delivery alone that waits.
        await told_events(resources, "m3")
        await wake(resources)
        assert [one.event["data"]["message_id"] for one in await receiver.has_taken(3)] == ["m1", "m2", "m3"]
        await asyncio.sleep(2)
        await away.up()
        told = await away.has_taken(3)
        assert [one.event["data"]["message_id"] for one in told] == ["m1", "m2", "m3"]
        assert len({one.id for one in told}) == 3
        await ended(resources, waits)
    history = await resources.temporal.get_workflow_handle(deliver_webhooks_id(waits.id)).fetch_history()
    assert len(history.events) < 15
    [healthy, _] = sorted(await Webhooks(resources.database).page(), key=lambda one: one.id == others.id)
    assert (healthy.failing_since, healthy.failure, healthy.waiting) == (None, None, 0)


async def test_an_event_that_is_not_taken_is_sent_again_under_its_id_and_those_behind_it_wait(
    resources: Resources, receiver: WebhookReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    # So long that a busy machine is not taken for an endpoint that answers too late.
    monkeypatch.setenv("WEBHOOK_TIMEOUT", "5")
    answers = [
        Answer(503, {"Retry-After": "2"}),
        Answer(200, seconds=15),
        Answer(302, {"Location": receiver.url}, body=b"x" * 1_000_000),
    ]
    receiver.answer = lambda _: answers.pop(0) if answers else Answer(204)
    webhook = await add_webhook(resources.database, url=receiver.url)
    first, second = await told_events(resources, "m1", "m2")
    async with running_workers():
        await wake(resources)
        told = await receiver.was_asked(5)
        await ended(resources, webhook)
    assert [one.id for one in told] == [first] * 4 + [second]
    assert len({one.body for one in told[:4]}) == 1
    assert told[1].when - told[0].when >= 1.9
    assert all(one.is_signed_with(SECRET) for one in told)


async def test_410_ends_a_webhook_and_replay_revives_it(
    worker: None, resources: Resources, receiver: WebhookReceiver
) -> None:
    receiver.answer = lambda told: Answer(200 if told.event["data"]["message_id"] == "m1" else 410)
    webhook = await add_webhook(resources.database, url=receiver.url)
    first, second = await told_events(resources, "m1", "m2")
    await wake(resources)
    await receiver.was_asked(2)
    await ended(resources, webhook)
    assert await told_events(resources, "m3") == [first, second]
    assert await wake(resources) == 0
    receiver.answer = lambda _: Answer()
    receiver.taken.clear()
    assert await Webhooks(resources.database).replay(webhook.id, LONG_AGO) == 1
    *_, fourth = await told_events(resources, "m4")
    await wake(resources)
    assert [one.id for one in await receiver.has_taken(3)] == [first, second, fourth]


async def test_one_event_that_is_refused_again_and_again_is_set_aside(
    resources: Resources, receiver: WebhookReceiver
) -> None:
    receiver.answer = lambda told: Answer(422 if told.event["data"]["message_id"] == "m1" else 200)
    webhook = await add_webhook(resources.database, url=receiver.url)
    await told_events(resources, "m1", "m2")
    # As if it had been tried for some minutes; no sweep may begin with it before.
    async with resources.database.transaction() as session:
        await session.execute(text("update outbox set attempts = 6 where data ->> 'message_id' = 'm1'"))
    async with running_workers():
        await wake(resources)
        [taken] = await receiver.has_taken(1)
        await ended(resources, webhook)
    assert taken.event["data"]["message_id"] == "m2"
    assert len(receiver.asked) == 3
    assert [row.state for row in await queued(resources.database)] == ["refused", "delivered"]


async def test_no_address_inside_the_network_is_asked(
    resources: Resources, receiver: WebhookReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WEBHOOK_ALLOW_PRIVATE", "false")
    names = ["http://127.0.0.1", "https://127.0.0.1", "https://localhost", "https://[::1]", "https://2130706433"]
    for name in names:
        # As it could stand in a database that a setting has allowed before.
        await add_webhook(resources.database, url=f"{name}:{receiver.port}/")
    await told_events(resources, "m1")
    async with running_workers():
        await wake(resources)
        async with asyncio.timeout(60):
            while len(await Outbox(resources.database).waiting(besides_failing=True)):
                await asyncio.sleep(0.1)
    assert receiver.asked == []
    assert {one.failure for one in await Webhooks(resources.database).page()} <= {
        "the address is not allowed (WEBHOOK_ALLOW_PRIVATE)",
        "its host has no public address (WEBHOOK_ALLOW_PRIVATE)",
        "its host is not known",
    }


@pytest.mark.chaos
async def test_a_worker_killed_before_it_wrote_down_that_an_event_was_taken_tells_it_again_and_loses_none(
    resources: Resources, receiver: WebhookReceiver, tmp_path: Path
) -> None:
    webhook = await add_webhook(resources.database, url=receiver.url)
    expected = await told_events(resources, *(f"m{number}" for number in range(6)))
    with (tmp_path / "log").open("wb") as log:
        async with worker_process(stderr=log) as process:

            def kill_at_the_third(_: Told) -> Answer:
                if len(receiver.asked) == 3:
                    process.send_signal(signal.SIGKILL)
                return Answer()

            receiver.answer = kill_at_the_third
            await wake(resources)
            await asyncio.wait_for(process.wait(), 60)
    # A URL may hold a token.
    logged = (tmp_path / "log").read_bytes()
    assert b"worker started" in logged
    assert b"token=" not in logged
    async with running_workers():
        told = [one.id for one in await receiver.has_taken(7)]
        await ended(resources, webhook)
    assert told == [*expected[:3], *expected[2:]]
    assert len(receiver.asked) == 7
    assert [row.state for row in await queued(resources.database)] == ["delivered"] * 6


async def test_what_is_saved_without_a_worker_is_told_by_the_next_sweep(
    worker: None, resources: Resources, receiver: WebhookReceiver
) -> None:
    webhook = await add_webhook(resources.database, url=receiver.url, events=("memory.changed",))
    await remember(resources.database, ANA, "city", "Ana lives in Lima.")
    await resources.temporal.get_schedule_handle("process-rooms").trigger()
    [told] = await receiver.has_taken(1)
    await ended(resources, webhook)
    assert changes(await queued(resources.database)) == ["created"] == [told.event["data"]["change"]]
