from pydantic import JsonValue

from services.domain.memories import owner_of
from services.section_store.history import CACHED
from services.section_store.store import SectionStore
from tests.support.openai_server import OpenAIServer
from tests.support.section_stores import open_sections

ANA, BEN = owner_of("user", "ana"), owner_of("user", "ben")
FACTS: dict[str, JsonValue] = {
    "invoice_address": "Av. Arequipa 1200, Lima",
    "delivery_day": "Parcels come on Thursdays",
    "favourite_dish": {"name": "ceviche", "spicy": True},
    "empleador": "Trabaja en la panadería de su tía",
}


async def test_facts_are_found_by_their_words(redis_url: str, database_url: str) -> None:
    async with open_sections(redis_url, database_url) as sections:
        await sections.store_facts(ANA, FACTS)
        await sections.store_facts(BEN, {"delivery_day": "Parcels come on Mondays"})
        await sections.store_fact(ANA, "delivery_day", "of a plugin: parcel", namespace="plugin")
        for query, key in (
            ("Where do invoices go?", "invoice_address"),
            ("which day are parcels delivered", "delivery_day"),
            ("CEVICHE", "favourite_dish"),
            ("panaderías", "empleador"),
        ):
            found = await sections.search_facts(ANA, query, namespace="default")
            assert found[0].key == key, query
            assert found[0].value == FACTS[key]
        assert {one.namespace for one in await sections.search_facts(ANA, "parcel")} == {"default", "plugin"}
        assert await sections.search_facts(ANA, "zebra") == []
        assert await sections.search_facts(ANA, "'); drop table -- \0") == []


async def test_facts_are_found_by_meaning_once_they_are_embedded(
    sections: SectionStore, model_server: OpenAIServer
) -> None:
    model_server.embed = lambda text, _: [1.0, 0.0] if "ceviche" in text or "raw fish" in text else [0.0, 1.0]
    await sections.store_facts(ANA, FACTS)
    [hit] = await sections.search_facts(ANA, "raw fish")
    assert hit.key == "favourite_dish"
    assert 0 < hit.score <= 0.3
    await sections.store_fact(ANA, "favourite_dish", "bread")
    assert await sections.search_facts(ANA, "raw fish") == []


async def test_a_model_that_is_away_loses_no_fact(
    sections: SectionStore, model_server: OpenAIServer, redis_url: str, database_url: str
) -> None:
    async with open_sections(redis_url, database_url) as without_model:
        await without_model.store_facts(ANA, FACTS)
    assert (await sections.search_facts(ANA, "ceviche"))[0].key == "favourite_dish"
    embedded, cursor = 0, None
    while True:
        page = await sections.sync(cursor)
        embedded += page.embedded
        cursor = page.cursor
        if cursor is None:
            break
    assert embedded == len(FACTS)
    assert (await sections.sync("facts:")).embedded == 0
    await sections.store_fact(ANA, "delivery_day", "never")
    assert (await sections.sync("facts:")).embedded == 0


async def test_a_history_is_read_from_the_newest_on(sections: SectionStore) -> None:
    for number in range(CACHED + 30):
        await sections.add_command_history(
            ANA, {"run": number}, session_id=f"s{number % 2}" if number % 3 else None, command_id=str(number)
        )
    await sections.add_command_history(BEN, "ben's")
    for session_id, expected in (
        (None, list(range(CACHED + 30))),
        ("s1", [n for n in range(CACHED + 30) if n % 3 and n % 2]),
    ):
        for limit in (7, 50, CACHED):
            runs: list[object] = []
            cursor = None
            while True:
                page = await sections.get_command_history(ANA, session_id=session_id, limit=limit, cursor=cursor)
                runs += [one.command["run"] for one in page.items if isinstance(one.command, dict)]
                cursor = page.cursor
                if cursor is None:
                    break
            assert runs == expected[::-1], (session_id, limit)
    assert (await sections.get_command_history(ANA, namespace="plugin")).items == ()


async def test_a_command_that_is_tried_again_is_added_once_and_seen_at_once(sections: SectionStore) -> None:
    assert (await sections.get_command_history(ANA, session_id="s")).items == ()
    first = await sections.add_command_history(ANA, "undo", session_id="s", command_id="c1")
    again = await sections.add_command_history(ANA, "undo", session_id="s", command_id="c1")
    assert first == again
    for session_id in (None, "s"):
        assert (await sections.get_command_history(ANA, session_id=session_id)).items == (first,)
    other = await sections.add_command_history(BEN, "undo", command_id="c1")
    assert other.id != first.id
    two = [await sections.add_command_history(ANA, "same") for _ in range(2)]
    assert (await sections.get_command_history(ANA)).items == (two[1], two[0], first)
