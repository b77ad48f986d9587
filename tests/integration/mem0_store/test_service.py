"""The memory service on the open-source store."""

import logging
from datetime import UTC, datetime

import pytest

from services.domain.memories import brain_id, owner_of
from services.llm_proxy.client import ModelClient
from services.mem0_store.open_source import OpenSourceStore
from services.mem0_store.opening import open_memory_store
from services.mem0_store.platform import PlatformStore
from services.memories.saving import MemoryService
from services.postgres.database import Database
from services.postgres.memories.brain import Brain
from services.settings import DatabaseSettings, Mem0Settings, ModelSettings, load
from tests.support.memories_kept import MODEL, kept
from tests.support.openai_server import OpenAIServer, Status

ANA = owner_of("user", "ana.rojas")


async def test_many_memories_are_saved_and_counted(store: OpenSourceStore, database: Database) -> None:
    service = MemoryService(store)
    memories = [{"slug": f"fact_{number}", "content": f"Sabe {number} cosas"} for number in range(20)]
    result = await service.save_user_memories("ana.rojas", memories)
    assert (result.success, result.saved_count, result.failed_count) == (True, 20, 0)
    assert [entry.slug for entry in result.results] == [f"fact_{number}" for number in range(20)]
    assert [entry.memory_id for entry in result.results] == [
        str(brain_id(ANA, f"fact_{number}")) for number in range(20)
    ]
    after = await kept(database)
    assert after.agrees()
    assert len(after.brain) == 20
    company = await service.save_company_memories("acme", memories)
    assert company.saved_count == 20
    assert len((await kept(database)).brain) == 40


async def test_saving_a_known_slug_updates_it(store: OpenSourceStore, database: Database) -> None:
    service = MemoryService(store)
    for content in ("14D", "14D", "14A"):
        result = await service.save_company_memories("acme", [{"slug": "company_tax_regime", "content": content}])
    assert [entry.outcome for entry in result.results] == ["updated"]
    record = await Brain(database).get_by_company_and_slug(owner_of("company", "acme").id, "company_tax_regime")
    assert record is not None
    assert record.content == "14A"
    assert (await kept(database)).agrees()


async def test_of_two_under_one_slug_the_second_stands(store: OpenSourceStore, database: Database) -> None:
    said = [{"slug": "user_city", "content": f"Vive en {number}"} for number in range(10)]
    result = await MemoryService(store).save_user_memories("ana.rojas", said)
    assert [entry.outcome for entry in result.results] == ["created"] + ["updated"] * 9
    assert list((await kept(database)).texts.values()) == ["Vive en 9"]


async def test_one_that_cannot_be_embedded_does_not_stop_the_others(
    store: OpenSourceStore, server: OpenAIServer, database: Database
) -> None:
    server.refuses = lambda request: Status(400) if "bad" in request.get("input", []) else None
    result = await MemoryService(store).save_user_memories(
        "ana.rojas", [{"slug": content, "content": content} for content in ("good", "bad", "fine")]
    )
    (error,) = result.errors
    assert (error.slug, error.transient) == ("bad", False)
    after = await kept(database)
    assert after.agrees()
    assert sorted(after.texts.values()) == ["fine", "good"]


async def test_deleting_ends_a_memory_and_keeps_its_history(store: OpenSourceStore, database: Database) -> None:
    service = MemoryService(store)
    await service.save_user_memories("ana.rojas", [{"slug": "user_city", "content": "Vive en Lima"}])
    for outcome in ("ended", "unchanged"):
        result = await service.delete(ANA, "user_city")
        assert [entry.outcome for entry in result.results] == [outcome]
    after = await kept(database)
    assert (after.brain, after.mem0, after.intents) == ({}, {}, set())
    assert [one.content for one in await Brain(database).history(ANA, "user_city")] == ["Vive en Lima", None]


async def test_a_memory_asserted_in_the_future_can_still_be_changed(store: OpenSourceStore, database: Database) -> None:
    service = MemoryService(store)
    future = datetime(2999, 1, 1, tzinfo=UTC)
    await service.save_user_memories(
        "ana.rojas", [{"slug": "user_city", "content": "Vive en Marte", "asserted_at": future}]
    )
    await service.save_user_memories("ana.rojas", [{"slug": "user_city", "content": "Vive en Lima"}])
    assert list((await kept(database)).texts.values()) == ["Vive en Lima"]


@pytest.mark.parametrize(
    ("variables", "kind"),
    [
        ({}, type(None)),
        ({"MEM0_BACKEND": "", "MEM0_API_KEY": ""}, type(None)),
        ({"MEM0_BACKEND": "open_source"}, OpenSourceStore),
        ({"MEM0_BACKEND": "open_source", "MEM0_API_KEY": "m0-key"}, OpenSourceStore),
        ({"MEM0_API_KEY": "m0-key"}, PlatformStore),
        ({"MEM0_BACKEND": "platform", "MEM0_API_KEY": "m0-key"}, PlatformStore),
    ],
)
async def test_the_settings_name_the_store(
    variables: dict[str, str],
    kind: type,
    monkeypatch: pytest.MonkeyPatch,
    database_url: str,
    database: Database,
    model: ModelClient,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Nothing is asked at opening: there is no platform here."""
    caplog.set_level(logging.WARNING)
    for name in ("MEM0_BACKEND", "MEM0_API_KEY"):
        monkeypatch.setenv(name, variables.get(name, ""))
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("EMBEDDING_MODEL", MODEL)
    opening = open_memory_store(
        load(Mem0Settings), postgres=load(DatabaseSettings), models=load(ModelSettings), database=database, model=model
    )
    async with opening as store:
        assert type(store) is kind
        service = MemoryService(store)
        assert service.is_configured == (store is not None)
    assert caplog.text == ""
