"""What we write is what Mem0's own library reads, changes and deletes; a new mem0ai that differs fails here."""

import asyncio
import hashlib
import inspect
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from services.domain.memories import NewMemory, brain_id, owner_of
from services.mem0_store.open_source import OpenSourceStore
from services.mem0_store.quiet_import import before_mem0
from services.postgres.database import Database
from tests.support.memories_kept import MODEL, kept, mem0_place
from tests.support.openai_server import OpenAIServer, hashed_vector

ANA, BEA = owner_of("user", "ana"), owner_of("user", "bea")
ROOT = Path(__file__).parents[3]


def said(content: str, slug: str = "user_city", **more: Any) -> NewMemory:
    return NewMemory(slug, content, datetime.now(UTC), **more)


@pytest.fixture
def _same_for_queries(server: OpenAIServer) -> None:
    """Let a text and a query of the same words have the same vector: Mem0 does not say which of them it embeds."""
    server.embed = lambda text, request: hashed_vector(text, {"dimensions": request.get("dimensions")})


@pytest.fixture
async def mem0(
    _same_for_queries: None, database_url: str, store: OpenSourceStore, database: Database, server: OpenAIServer
) -> AsyncIterator[Any]:
    """Mem0's library on the same table, as anybody may open it who may be the system."""
    await store.save(ANA, said("Vive en Lima", metadata={"sure": True, "categories": ["home"]}))
    await store.save(ANA, said("Prefiere el té", "drink", kind="procedural"))
    await store.save(BEA, said("Vive en Cusco"))
    before_mem0()
    from mem0 import AsyncMemory  # noqa: PLC0415  its environment is read when it is imported

    openai = {"openai_base_url": f"{server.url}/v1", "api_key": "none"}
    postgres = {
        "connection_string": f"{database_url}&options=-crole%3Dafterturn_system",
        "collection_name": await mem0_place(database),
        "embedding_model_dims": 8,
        "hnsw": False,
    }
    memory = AsyncMemory.from_config(
        {
            "vector_store": {"provider": "pgvector", "config": postgres},
            "embedder": {"provider": "openai", "config": {"model": MODEL, "embedding_dims": 8, **openai}},
            "llm": {"provider": "openai", "config": {"model": "chat-model", **openai}},
            "history_db_path": ":memory:",
        }
    )
    yield memory
    memory.close()
    memory.vector_store.connection_pool.close()
    memory.embedding_model.client.close()
    memory.llm.client.close()


async def test_mem0_gets_what_we_wrote(mem0: Any) -> None:
    found = await mem0.get(str(brain_id(ANA, "user_city")))
    times = {"created_at": found.pop("created_at"), "updated_at": found.pop("updated_at")}
    assert all(datetime.fromisoformat(time).tzinfo for time in times.values())
    assert found == {
        "id": str(brain_id(ANA, "user_city")),
        "memory": "Vive en Lima",
        "hash": hashlib.md5(b"Vive en Lima", usedforsecurity=False).hexdigest(),
        "score": None,
        "user_id": str(ANA.id),
        "role": "user",
        "metadata": {
            "owner_type": "user",
            "owner_id": str(ANA.id),
            "slug": "user_city",
            "kind": "semantic",
            "brain_id": str(brain_id(ANA, "user_city")),
            "sure": True,
            "categories": ["home"],
        },
    }


async def test_mem0_lists_by_owner_and_by_what_makes_it_ours(mem0: Any) -> None:
    async def listed(**filters: str) -> set[str]:
        found = await mem0.get_all(filters=filters)
        return {one["memory"] for one in found["results"]}

    assert await listed(user_id=str(ANA.id)) == {"Vive en Lima", "Prefiere el té"}
    assert await listed(user_id=str(ANA.id), slug="drink") == {"Prefiere el té"}
    assert await listed(user_id=str(ANA.id), kind="semantic", owner_type="user") == {"Vive en Lima"}
    assert await listed(user_id=str(BEA.id), brain_id=str(brain_id(BEA, "user_city"))) == {"Vive en Cusco"}


async def test_mem0_searches_by_meaning_and_by_word(mem0: Any) -> None:
    by_meaning = await mem0.search("Vive en Lima", filters={"user_id": str(ANA.id)})
    assert by_meaning["results"][0]["memory"] == "Vive en Lima"
    # Half of it is the vector's, which is the same; the other half is the words'.
    assert by_meaning["results"][0]["score"] > 0.5
    words = mem0.vector_store.keyword_search("té", filters={"user_id": str(ANA.id)})
    assert [found.payload["data"] for found in words] == ["Prefiere el té"]


async def test_what_mem0_updates_is_still_ours_and_the_brain_counts(
    mem0: Any, store: OpenSourceStore, database: Database
) -> None:
    id_ = brain_id(ANA, "user_city")
    await mem0.update(str(id_), text="Vive en Marte", metadata={"note": "by hand"})
    changed = (await kept(database)).mem0[id_]
    assert changed["data"] == "Vive en Marte"
    assert changed["brain_id"] == str(id_)
    page = await store.reconcile(None, limit=100)
    assert (page.texts_differ, page.drift, page.repaired) == (1, 1, 1)
    assert (await kept(database)).agrees()
    assert (await mem0.get(str(id_)))["memory"] == "Vive en Lima"


async def test_what_mem0_deletes_comes_back(mem0: Any, store: OpenSourceStore, database: Database) -> None:
    await mem0.delete(str(brain_id(ANA, "user_city")))
    await mem0.delete(str(brain_id(ANA, "drink")))
    assert await mem0.get(str(brain_id(ANA, "drink"))) is None
    await store.save(ANA, said("Prefiere el té", "drink", kind="procedural"))
    page = await store.reconcile(None, limit=100)
    assert (page.missing_in_mem0, page.repaired) == (1, 1)
    assert (await kept(database)).agrees()
    assert (await mem0.search("Vive en Lima", filters={"user_id": str(ANA.id)}))["results"][0]["score"] > 0.5


async def test_what_mem0_adds_by_itself_has_the_shape_of_ours(mem0: Any, database: Database) -> None:
    added = await mem0.add("Le gusta el mar", user_id=str(ANA.id), infer=False)
    (result,) = added["results"]
    everything = {str(id_): payload for id_, payload in (await kept(database)).mem0.items()}
    theirs, ours = everything[result["id"]], everything[str(brain_id(ANA, "drink"))]
    assert set(theirs) == {"data", "hash", "user_id", "role", "created_at", "updated_at", "text_lemmatized"}
    assert set(ours) - set(theirs) == {"owner_type", "owner_id", "slug", "kind", "brain_id"}
    assert theirs["role"] == ours["role"]
    assert theirs["text_lemmatized"] == theirs["data"]
    assert ours["text_lemmatized"] == ours["data"]
    assert {type(theirs[name]) for name in theirs} == {type(ours[name]) for name in theirs} == {str}


async def test_our_table_is_the_one_that_mem0_would_make(mem0: Any, database: Database) -> None:
    from mem0.vector_stores.pgvector import PGVector  # noqa: PLC0415

    async with database.transaction() as session:
        columns = "select attname, format_type(atttypid, atttypmod) from pg_attribute where attrelid = '{}'::regclass"
        shown = text(columns.format(await mem0_place(database)) + " and attnum > 0 order by attnum")
        ours = [tuple(row) for row in await session.execute(shown)]
    assert ours == [("id", "uuid"), ("vector", "vector(8)"), ("payload", "jsonb")]
    made = " ".join(inspect.getsource(PGVector.create_col).split())
    assert "id UUID PRIMARY KEY, vector vector({}), payload JSONB" in made


def test_the_store_uses_what_mem0s_table_offers() -> None:
    from mem0.vector_stores.pgvector import PGVector  # noqa: PLC0415

    def named(method: Any) -> list[str]:
        return list(inspect.signature(method).parameters)[1:]

    assert named(PGVector.insert) == ["vectors", "payloads", "ids"]
    assert named(PGVector.update) == ["vector_id", "vector", "payload"]
    assert named(PGVector.get) == named(PGVector.delete) == ["vector_id"]
    assert named(PGVector.list_cols) == []


_ALONE = """
import asyncio, json, os, sys, threading
from datetime import UTC, datetime
from services.domain.memories import NewMemory, owner_of
from services.llm_proxy.client import ModelClient
from services.mem0_store.open_source import OpenSourceStore

async def run():
    async with (
        ModelClient.open(sys.argv[2]) as model,
        OpenSourceStore.open(sys.argv[1], model, "embedding-model") as store,
    ):
        before = sorted(name for name in ("mem0", "openai", "posthog") if name in sys.modules)
        await store.save(owner_of("user", "ana"), NewMemory("user_city", "Vive en Lima", datetime.now(UTC)))
        from mem0.memory import telemetry
        print(json.dumps({
            "imported_at_opening": before,
            "model_libraries": sorted(name for name in ("openai", "spacy", "litellm") if name in sys.modules),
            "telemetry": telemetry.client_telemetry.posthog is not None,
            "threads": sorted({thread.name.split("_")[0] for thread in threading.enumerate()}),
            "openrouter": os.environ["OPENROUTER_API_KEY"],
        }))

asyncio.run(run())
"""


async def test_mem0_brings_nothing_but_its_table_into_the_process(
    database_url: str, server: OpenAIServer, tmp_path: Path
) -> None:
    """No model client, so that no other service's key can turn it away from our proxy; no reports, no history file."""
    environment = {
        **os.environ,
        "OPENROUTER_API_KEY": "of-somebody-else",
        "HOME": "/nonexistent",
        "TMPDIR": str(tmp_path),
    }
    environment.pop("MEM0_DIR", None)
    command = [sys.executable, "-c", _ALONE, database_url, server.url]
    told = await asyncio.to_thread(subprocess.check_output, command, cwd=ROOT, env=environment, timeout=60)
    assert json.loads(told) == {
        "imported_at_opening": [],
        "model_libraries": [],
        "telemetry": False,
        "threads": ["MainThread", "asyncio", "mem0"],
        "openrouter": "of-somebody-else",
    }
    assert [name for _, _, names in os.walk(tmp_path) for name in names] == ["config.json"]
