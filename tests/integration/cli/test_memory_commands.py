"""`afterturn memories`, as an operator uses it."""

from datetime import UTC, datetime

import pytest

from services.domain.ids import message_uid
from services.domain.memories import NewMemory, owner_of
from services.domain.messages import ClaimedEntry, NewMessage
from services.resources import Resources
from tests.support.command_line import CommandLine

MARCH = datetime(2026, 3, 2, 9, 5, tzinfo=UTC)
OF_42 = ("--user", "42")


async def test_a_memory_is_saved_changed_shown_and_ended(resources: Resources, afterturn: CommandLine) -> None:
    first = await afterturn("memories", "save", "address", "Lives in Santiago.", *OF_42, "--json")
    assert first.code == 0, first.err
    assert (first.document["success"], first.document["saved_count"]) == (True, 1)
    changed = await afterturn("memories", "save", "address", "Lives in Lima.", *OF_42)
    assert "address: updated" in changed.out
    again = await afterturn("memories", "save", "address", "Lives in Lima.", *OF_42)
    assert "address: known already" in again.out

    shown = await afterturn("memories", "show", "address", *OF_42, "--json")
    assert (shown.document["content"], shown.document["made_by"]) == ("Lives in Lima.", "caller")
    history = await afterturn("memories", "history", "address", *OF_42, "--json")
    assert [version["content"] for version in history.document["versions"]] == ["Lives in Santiago.", "Lives in Lima."]
    assert history.document["versions"][0]["valid_to"] == history.document["versions"][1]["valid_from"]

    ended = await afterturn("memories", "delete", "address", *OF_42)
    assert (ended.code, "no longer stands" in ended.out) == (0, True)
    gone = await afterturn("memories", "show", "address", *OF_42)
    assert (gone.code, "memories history" in gone.err) == (1, True)
    told = await afterturn("memories", "history", "address", *OF_42)
    assert "(no longer true)" in told.out
    listed = await afterturn("memories", "list", *OF_42, "--json")
    assert listed.document["memories"] == []


async def test_an_older_fact_is_kept_as_history(resources: Resources, afterturn: CommandLine) -> None:
    await afterturn("memories", "save", "address", "Lives in Lima.", *OF_42)
    late = await afterturn("memories", "save", "address", "Lives in Quito.", *OF_42, "--asserted-at", "2020-01-01")
    assert "kept as history" in late.out
    shown = await afterturn("memories", "show", "address", *OF_42, "--json")
    assert shown.document["content"] == "Lives in Lima."


async def test_owners_and_kinds_are_told_apart(resources: Resources, afterturn: CommandLine) -> None:
    await afterturn("memories", "save", "style", "Answer in bullets.", *OF_42, "--kind", "procedural")
    await afterturn("memories", "save", "regime", "Pro Pyme.", "--company", "acme")
    await afterturn("memories", "save", "name", "Called Ana.", *OF_42)
    how = await afterturn("memories", "list", *OF_42, "--kind", "procedural", "--json")
    assert [memory["slug"] for memory in how.document["memories"]] == ["style"]
    of_company = await afterturn("memories", "list", "--company", "acme", "--json")
    assert [memory["slug"] for memory in of_company.document["memories"]] == ["regime"]


async def test_lineage_shows_the_messages(resources: Resources, afterturn: CommandLine) -> None:
    said = NewMessage("m1", "user", "I moved to Lima.", "42", None, MARCH)
    await resources.archive.add("user:42", "claim", [ClaimedEntry(0, b"", said)], run_id="run")
    memory = NewMemory("address", "Moved to Lima.", MARCH, sources=(message_uid("user:42", "m1"),), made_by="model")
    await resources.memories.save(owner_of("user", "42"), [memory])

    told = await afterturn("memories", "lineage", "address", *OF_42)
    assert "user:42 (1) user 42: I moved to Lima." in told.out
    document = (await afterturn("memories", "lineage", "address", *OF_42, "--json")).document
    assert [message["id"] for message in document["origins"][0]["messages"]] == ["m1"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("list",), "--user: takes"),
        (("list", *OF_42, "--company", "acme"), "one of the two"),
        (("list", "--user", "a@b.c"), "user_id: takes"),
        (("show", "No Slug", *OF_42), "slug: takes"),
        (("save", "address", " ", *OF_42), "content: takes"),
        (("delete", "never", *OF_42), "never had"),
    ],
)
async def test_what_is_wrong_is_named(
    resources: Resources, afterturn: CommandLine, arguments: tuple[str, ...], says: str
) -> None:
    refused = await afterturn("memories", *arguments)
    assert refused.code == (1 if says == "never had" else 2)
    assert says in refused.err


async def test_without_mem0_saving_says_so(resources: Resources, afterturn: CommandLine) -> None:
    skipped = await afterturn("memories", "save", "address", "Lives in Lima.", *OF_42, MEM0_BACKEND="")
    assert skipped.code == 1
    assert "Mem0 is not configured" in skipped.out
