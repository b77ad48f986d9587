import pytest
from pydantic import JsonValue

from services.domain.memories import owner_of
from services.llm_proxy.client import ModelClient
from services.section_store.history import CACHED
from services.section_store.store import SectionStore
from tests.support.openai_server import EMBEDDINGS, OpenAIServer, Status
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


async def embedded_by(sections: SectionStore) -> int:
    """Count what `sync` embeds from the first fact to the last."""
    embedded, cursor = 0, "facts:"
    while cursor.startswith("facts:"):
        page = await sections.sync(cursor)
        assert page.cursor is not None
        embedded, cursor = embedded + page.embedded, page.cursor
    return embedded


@pytest.mark.parametrize("status", [400, 500])
async def test_a_fact_that_the_model_never_embeds_keeps_no_other_one_from_it(
    sections: SectionStore, model_server: OpenAIServer, redis_url: str, database_url: str, status: int
) -> None:
    model_server.embed = lambda text, _: [1.0, 0.0] if "ceviche" in text or "raw fish" in text else [0.0, 1.0]
    model_server.refuses = lambda asked: Status(status) if any("poison" in text for text in asked["input"]) else None
    async with open_sections(redis_url, database_url) as without_model:
        await without_model.store_facts(ANA, {f"k{n}": f"fact {n}" for n in range(90)})
        await without_model.store_facts(ANA, {"bad": "poison", "favourite_dish": "ceviche"})
    assert await embedded_by(sections) == 91
    assert [hit.key for hit in await sections.search_facts(ANA, "raw fish")] == ["favourite_dish"]
    assert await embedded_by(sections) == 0
    model_server.refuses = None
    assert await embedded_by(sections) == 1


async def test_a_model_that_is_away_is_asked_no_more_for_a_page_of_facts(
    sections: SectionStore, model_server: OpenAIServer, redis_url: str, database_url: str
) -> None:
    async with open_sections(redis_url, database_url) as without_model:
        await without_model.store_facts(ANA, {f"k{n}": f"fact {n}" for n in range(20)})
    model_server.fault = Status(503)
    assert await embedded_by(sections) == 0
    # For the first facts, and whether it embeds anything.
    assert model_server.calls[EMBEDDINGS] == 2
    model_server.fault = None
    assert await embedded_by(sections) == 20


async def test_of_a_long_fact_no_more_is_embedded_than_of_a_message(
    sections: SectionStore, model_server: OpenAIServer, redis_url: str, database_url: str
) -> None:
    model_server.embed = lambda text, _: [1.0, 0.0] if "ceviche" in text or "raw fish" in text else [0.0, 1.0]
    model_server.refuses = lambda asked: Status(400) if any(len(text) > 2_000 for text in asked["input"]) else None
    await sections.store_fact(ANA, "favourite_dish", "ceviche " + "漢字" * 4_000)
    assert [hit.key for hit in await sections.search_facts(ANA, "raw fish")] == ["favourite_dish"]
    async with open_sections(redis_url, database_url) as without_model:
        await without_model.store_fact(BEN, "favourite_dish", "ceviche " + "漢字" * 4_000)
    assert await embedded_by(sections) == 1
    assert [hit.key for hit in await sections.search_facts(BEN, "raw fish")] == ["favourite_dish"]


async def test_what_no_caller_waits_for_is_embedded_however_long_it_takes(
    redis_url: str, database_url: str, model: ModelClient
) -> None:
    async with open_sections(redis_url, database_url, model, embedding_seconds=0) as impatient:
        await impatient.store_facts(ANA, FACTS)
        assert await embedded_by(impatient) == len(FACTS)


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
