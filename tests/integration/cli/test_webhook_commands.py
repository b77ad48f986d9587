"""`afterturn webhooks`, as an operator uses it."""

import pytest
from sqlalchemy import text

from services.resources import Resources
from tests.support.command_line import CommandLine
from tests.support.webhook_events import changes, digest, queued

URL = "https://example.org/hooks"
NOBODY = "00000000-0000-0000-0000-000000000000"


async def test_a_webhook_is_added_listed_replayed_and_removed(resources: Resources, afterturn: CommandLine) -> None:
    added = await afterturn("webhooks", "add", URL, "--event", "message.digested", "--user", "42", "--json")
    assert added.code == 0, added.err
    assert added.document["secret"].startswith("whsec_")
    assert (added.document["events"], added.document["owner"]) == (["message.digested"], "user:42")
    webhook = added.document["id"]
    everything = await afterturn("webhooks", "add", f"{URL}/all")
    assert "whsec_" in everything.out
    await digest(resources.database, "user:42", "m1", user_id="42")
    listed = await afterturn("webhooks", "list", "--json")
    assert [(one["url"], one["waiting"]) for one in listed.document["webhooks"]] == [(URL, 1), (f"{URL}/all", 1)]
    shown = await afterturn("webhooks", "list")
    assert URL in shown.out
    assert "whsec_" not in listed.out + shown.out

    async with resources.database.transaction() as session:
        await session.execute(text("update outbox set state = 'delivered', ended_at = now()"))
    replayed = await afterturn("webhooks", "replay", webhook, "--since", "2020-01-01", "--json")
    assert (replayed.code, replayed.document) == (0, {"events": 1})
    assert sorted(row.state for row in await queued(resources.database)) == ["delivered", "waiting"]

    removed = await afterturn("webhooks", "remove", webhook)
    assert removed.code == 0
    assert changes(await queued(resources.database)) == ["m1"]
    for command in (("remove", webhook), ("replay", NOBODY, "--since", "2020-01-01")):
        gone = await afterturn("webhooks", *command)
        assert (gone.code, "no webhook" in gone.err) == (1, True)


@pytest.mark.parametrize(
    "wrong",
    [
        ("http://example.org/",),
        ("https://127.0.0.1/",),
        (URL, "--event", "memory.read"),
        (URL, "--user", "42", "--company", "acme"),
    ],
)
async def test_a_wrong_webhook_is_refused(resources: Resources, afterturn: CommandLine, wrong: tuple[str, ...]) -> None:
    assert (await afterturn("webhooks", "add", *wrong)).code == 2
