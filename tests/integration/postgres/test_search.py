"""Search by words and by meaning, in one room or in all of a person's."""

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta

import pytest

from services.domain.ids import message_uid
from services.domain.memories import owner_of
from services.domain.messages import ClaimedEntry, NewMessage
from services.postgres.archive.writing import Archive
from services.postgres.database import Database
from services.postgres.search.searching import Search
from services.postgres.vectors.tables import Embeddings, Item

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
    for room_id, owner in ((ROOM, None), (None, owner_of("user", "42"))):
        hits = await search.find("Andes taxes", None, room_id=room_id, owner=owner)
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


async def test_a_vector_of_zeros_is_near_to_nothing(database: Database) -> None:
    items = [Item(message_uid(ROOM, f"m{number}"), "message", ROOM) for number in range(len(SAID))]
    vectors = {item: [float(index == 5), 0.0, 0.1 * (index != 1)] for index, item in enumerate(items)}
    await Embeddings(database, "toy").save(vectors)
    hits = await Search(database, "toy").find("qqq", [1.0, 0.0, 0.0], room_id=ROOM)
    assert [hit.id for hit in hits] == ["m5"]
    assert (await Search(database, "toy").find("violin", [0.0, 0.0, 0.0], room_id=ROOM))[0].id == "m5"


@pytest.mark.parametrize("query", ["", "the and of", "'; drop table messages; --", "💥", "a" * 5_000, "!&|:*()"])
async def test_a_query_of_any_shape_is_answered(database: Database, query: str) -> None:
    assert isinstance(await Search(database, "none").find(query, None), list)


async def talk(database: Database, room: str, said: Sequence[tuple[str, str, datetime]]) -> None:
    entries = [
        ClaimedEntry(number, b"", NewMessage(f"m{number}", "user", content, speaker, None, at))
        for number, (speaker, content, at) in enumerate(said)
    ]
    await Archive(database).add(room, "claim", entries, run_id="run")


async def test_who_is_named_and_spoke_comes_before_who_is_spoken_to(database: Database) -> None:
    said = [
        (speaker, f"{other}, I am going to sail on Sunday.", NOON)
        for speaker, other in (("bruno", "Andrea"), ("carla", "Andrea"), ("andrea", "Bruno"), ("dora", "Andrea"))
    ]
    await talk(database, "room:port", said)
    search = Search(database, "none")
    for name, message in (("Andrea", "m2"), ("Dora", "m3"), ("Bruno", "m0")):
        question = await search.read(f"When does {name} sail?", room_id="room:port")
        assert (question.words, question.speakers) == ("When does sail?", (name.lower(),))
        for asked in (question, f"When does {name} sail?"):
            assert (await search.find(asked, None, room_id="room:port"))[0].id == message


async def test_an_answer_is_found_by_the_words_of_what_it_answers(database: Database) -> None:
    said = ["Nice weather today.", "In which city did you grow up?", "Cusco.", "The bus is late.", "Fine by me."]
    await talk(database, "room:bus", [("a", content, NOON) for content in said])
    hits = await Search(database, "none").find("city where she grew up", None, room_id="room:bus")
    assert [hit.id for hit in hits[:2]] == ["m1", "m2"]
    assert (await Search(database, "none").find("bus", None, room_id=ROOM)) == []


async def test_what_was_said_in_the_month_that_is_named_comes_first(database: Database) -> None:
    months = [NOON.replace(year=2024, month=number, day=15) for number in range(1, 13)]
    await talk(database, "room:log", [("a", "I cooked soup for everybody.", at) for at in months])
    for query, message in (("Who cooked soup in June 2024?", "m5"), ("¿Quién cooked soup en octubre?", "m9")):
        assert (await Search(database, "none").find(query, None, room_id="room:log"))[0].id == message


async def test_nothing_sent_later_is_found_as_of_a_time(database: Database) -> None:
    hits = await Search(database, "none").find("trip Andes violin", None, room_id=ROOM, as_of=NOON)
    assert [hit.id for hit in hits] == ["m0"]
    since = NOON + timedelta(minutes=2)
    hits = await Search(database, "none").find("trip Andes violin", None, room_id=ROOM, since=since)
    assert {hit.id for hit in hits}.isdisjoint({"m0", "m1"})


async def test_what_is_as_old_as_time_keeps_nobody_from_searching(database: Database) -> None:
    old, late = datetime(1, 1, 3, tzinfo=UTC), datetime(9999, 12, 29, tzinfo=UTC)
    await talk(database, "room:log", [("a", "I climbed the Andes.", at) for at in (old, late)])
    search = Search(database, "none")
    assert {hit.id for hit in await search.find("climbed", None, room_id="room:log")} == {"m0", "m1"}
    assert {hit.id for hit in await search.find("Andes", None, as_of=late)} >= {"m0", "m1", "m2"}


async def test_a_long_question_is_asked_in_its_first_words(database: Database) -> None:
    search = Search(database, "none")
    stop_words = "what is it that you and I do have of the an on or was to for with me he she they at by from his her"
    assert (await search.find(f"{stop_words} {stop_words} about the violin", None, room_id=ROOM))[0].id == "m5"
    many = " ".join(f"word{number}" for number in range(5_000))
    assert await search.find(f"{many} violin", None, room_id=ROOM) == []
    assert (await search.find(f"violin {many}", None, room_id=ROOM))[0].id == "m5"
