"""Search by words and by meaning, in one room or in all of a person's."""

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta

import pytest

from services.domain.ids import message_uid
from services.domain.messages import ClaimedEntry, NewMessage
from services.postgres.archive import Archive
from services.postgres.database import Database
from services.postgres.embeddings import Embeddings, Item
from services.postgres.search import Search

ROOM = "user:42"
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
SAID = (
    "I am planning a trip to the mountains.",
    "Which ones do you like?",
    "The Andes, because I love hiking there.",
    "Mañana tengo que pagar los impuestos de la empresa.",
    "Los impuestos se pagan en línea.",
    "My sister plays the violin.",
)


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    async with Database.open(database_url) as opened:
        await say(opened, ROOM, SAID)
        await say(opened, "user:7", ["I hike the Andes every year and pay my taxes."])
        yield opened


async def say(database: Database, room: str, contents: Sequence[str]) -> None:
    entries = [
        ClaimedEntry(
            number,
            b"",
            NewMessage(f"m{number}", "user", content, room[5:], None, NOON + timedelta(minutes=number)),
        )
        for number, content in enumerate(contents)
    ]
    await Archive(database).add(room, "claim", entries, run_id="run")


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("hikes in the Andes", "m2"),
        ("pagar impuesto mañana", "m3"),
        ("who is the violinist? violins", "m5"),
        ("trips", "m0"),
    ],
)
async def test_words_are_found_in_any_inflection_of_their_language(
    database: Database, query: str, expected: str
) -> None:
    hits = await Search(database, "none").find(query, None, room_id=ROOM)
    assert hits[0].id == expected


async def test_a_search_stays_in_its_scope(database: Database) -> None:
    search = Search(database, "none")
    for room_id, user_id in ((ROOM, None), (None, "42")):
        hits = await search.find("Andes taxes", None, room_id=room_id, user_id=user_id)
        assert hits
        assert {hit.room_id for hit in hits} == {ROOM}
    assert {hit.room_id for hit in await search.find("Andes", None)} == {ROOM, "user:7"}


async def test_meaning_finds_what_no_word_does_and_both_are_fused(database: Database) -> None:
    embeddings = Embeddings(database, "toy")
    items = [Item(message_uid(ROOM, f"m{number}"), "message", ROOM) for number in range(len(SAID))]
    assert await embeddings.missing(items) == items
    await embeddings.save({item: [float(index == 5), float(index == 2), 0.1] for index, item in enumerate(items)})
    assert await embeddings.missing(items) == []
    search = Search(database, "toy")
    assert (await search.find("qqq", [1.0, 0.0, 0.0], room_id=ROOM))[0].id == "m5"
    assert (await search.find("Andes", [0.0, 1.0, 0.0], room_id=ROOM))[0].id == "m2"


@pytest.mark.parametrize("query", ["", "the and of", "'; drop table messages; --", "💥", "a" * 5_000, "!&|:*()"])
async def test_a_query_of_any_shape_is_answered(database: Database, query: str) -> None:
    assert isinstance(await Search(database, "none").find(query, None), list)
