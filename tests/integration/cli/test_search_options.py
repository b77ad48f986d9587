"""`search` over memories: whose, of which kind, and as of when."""

import pytest

from tests.support.command_line import CommandLine

pytestmark = pytest.mark.usefixtures("environment")
AS_OF = ("--as-of", "2026-02-01")


async def search(afterturn: CommandLine, *options: str) -> list[tuple[str, str, str]]:
    finished = await afterturn("search", "Where is home?", *options, "--json")
    assert finished.code == 0, finished.err
    return [(hit["slug"], hit["kind"], hit["text"]) for hit in finished.document["hits"]]


async def test_memories_are_found_as_they_are_and_as_they_were(afterturn: CommandLine) -> None:
    for owner in ("--user", "--company"):
        for since, city in (("2026-01-01", "Lima"), ("2026-03-01", "Quito")):
            saved = await afterturn(
                "memories", "save", "home", f"Home of the {owner[2:]} is {city}.", owner, "42", "--asserted-at", since
            )
            assert saved.code == 0, saved.err
    assert await search(afterturn, "--user", "42") == [("home", "semantic", "Home of the user is Quito.")]
    assert await search(afterturn, "--user", "42", *AS_OF) == [("home", "semantic", "Home of the user is Lima.")]
    assert await search(afterturn, "--company", "42") == [("home", "semantic", "Home of the company is Quito.")]
    assert await search(afterturn, "--user", "43") == []
    assert await search(afterturn, "--user", "42", "--kind", "episodic", "--kind", "message") == []
    assert len(await search(afterturn, "--kind", "semantic")) == 2

    table = await afterturn("search", "Where is home?", "--user", "42")
    assert "semantic (caller)" in table.out
    wrong = await afterturn("search", "home", "--user", "42", "--company", "42")
    assert wrong.code == 2
