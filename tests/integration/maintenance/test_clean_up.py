"""What is past its retention goes, in bounded batches; what is still needed stays, whatever its age."""

import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from services.domain.errors import InvalidInputError
from services.domain.memories import NewMemory, owner_of
from services.imports.folder import COPIES, ImportFolder
from services.mem0_store.open_source import OpenSourceStore
from services.memories.merging import Merged, Merging
from services.postgres.database import Database
from services.postgres.memories.merges import Merges
from services.postgres.upkeep.clean_up import TABLES, CleanUp
from services.postgres.upkeep.retention import Retentions
from services.settings import RetentionSettings
from tests.support.memories_kept import run_sql
from tests.support.old_rows import OldRows

ANA, BEN = owner_of("user", "ana"), owner_of("user", "ben")
OLD, NEW = 400, 1


@pytest.fixture
async def rows(database: Database) -> OldRows:
    rows = OldRows(database)
    for name, owner in (("ana", ANA), ("ben", BEN)):
        await rows.room(f"user:{name}", owner)
    return rows


def clean_up(database: Database, **days: int) -> CleanUp:
    return CleanUp(database, RetentionSettings().days | days)


def say(slug: str, content: str) -> NewMemory:
    return NewMemory(slug, content, datetime(2026, 1, 1, tzinfo=UTC), made_by="model")


async def cleaned(clean: CleanUp, *, limit: int = 100) -> dict[str, int]:
    return {table: await clean.clean(table, limit=limit) for table in TABLES}


async def test_only_what_is_done_with_goes(rows: OldRows, database: Database) -> None:
    kept = {await rows.held("open", days=OLD), await rows.held("redriven", days=NEW)}
    gone = {await rows.held("redriven", days=OLD, room="user:ana"), await rows.held("redriven", days=OLD)}
    assert await cleaned(clean_up(database)) == dict.fromkeys(TABLES, 0) | {"quarantine": len(gone)}
    assert await rows.ids("quarantine") == kept


@pytest.mark.parametrize("state", ["waiting", "extracted", "quarantined"])
async def test_an_answer_is_kept_while_its_chunk_may_need_it(state: str, rows: OldRows, database: Database) -> None:
    needed = {await rows.answered("user:ana", state, days=OLD), await rows.answered("user:ana", "digested", days=NEW)}
    for done in ("digested", "split"):
        await rows.answered("user:ana", done, days=OLD)
    assert await clean_up(database).clean("model_answers", limit=100) == 2
    assert await rows.ids("model_answers", "chunk_id") == needed


async def test_a_tenant_keeps_its_rows_for_as_long_as_it_wants(rows: OldRows, database: Database) -> None:
    retentions = Retentions(database)
    mine = await rows.answered("user:ana", "digested", days=20)
    bens = await rows.answered("user:ben", "digested", days=20)
    old = await rows.answered("user:ben", "digested", days=OLD)
    await retentions.set(ANA, "model_answers", 10)
    assert await clean_up(database).clean("model_answers", limit=100) == 2
    assert await rows.ids("model_answers", "chunk_id") == {bens}
    assert mine != old
    await retentions.set(BEN, "model_answers", 0)
    assert await clean_up(database, model_answers=1).clean("model_answers", limit=100) == 0
    await retentions.set(BEN, "model_answers", None)
    assert [(one.owner.id, one.table, one.days) for one in await retentions.list_all()] == [
        (ANA.id, "model_answers", 10)
    ]
    assert await clean_up(database, model_answers=1).clean("model_answers", limit=100) == 1


async def test_no_days_keep_everything_for_ever(rows: OldRows, database: Database) -> None:
    await rows.held("redriven", days=OLD)
    await rows.answered("user:ana", "digested", days=OLD)
    assert set((await cleaned(clean_up(database, **dict.fromkeys(TABLES, 0)))).values()) == {0}


async def test_a_batch_is_bounded(rows: OldRows, database: Database) -> None:
    for _ in range(5):
        await rows.held("redriven", days=OLD)
    assert [await clean_up(database).clean("quarantine", limit=2) for _ in range(4)] == [2, 2, 1, 0]


async def test_requests_and_analyses_have_their_days(database: Database) -> None:
    for days in (0, 3):
        await run_sql(
            database,
            "insert into idempotency_keys (credential, route, key, fingerprint, token, created_at) "
            "values ('c', 'r', :key, '', gen_random_uuid(), now() - make_interval(days => :days))",
            key=str(days),
            days=days,
        )
        await run_sql(
            database,
            "insert into analyses (day, figures, run_id) values (current_date - 300 * :days, '{}', 'run')",
            days=days,
        )
    found = await cleaned(clean_up(database))
    assert (found["idempotency_keys"], found["analyses"]) == (1, 1)


async def test_what_was_undone_is_not_merged_again_after_its_days_either(
    store: OpenSourceStore, merging: Merging, merges: Merges, database: Database
) -> None:
    await store.save(ANA, say("city", "The user lives in Lima"))
    await store.save(ANA, say("home", "I live in Lima."))
    await store.save(BEN, say("city", "The user lives in Lima"))
    await store.save(BEN, say("home", "I live in Lima."))
    for owner in (ANA, BEN):
        assert await merging.merge(owner, run_id="run") == Merged(merged=1)
    [undone] = await merges.recent(owner=ANA)
    await merging.undo(undone.id)
    await run_sql(database, "update memory_merges set planned_at = now() - make_interval(days => :days)", days=OLD)
    assert await clean_up(database).clean("memory_merges", limit=100) == 1
    assert [merge.id for merge in await merges.recent()] == [undone.id]
    assert await merging.merge(ANA, run_id="run") == Merged()


@pytest.mark.parametrize(("table", "days"), [("rooms", 3), ("model_answers", -1), ("model_answers", 99_999)])
async def test_what_has_no_retention_of_a_tenants_own_is_refused(table: str, days: int, database: Database) -> None:
    with pytest.raises(InvalidInputError):
        await Retentions(database).set(ANA, table, days)


def test_a_copy_goes_when_it_is_old_and_no_import_reads_it(tmp_path: Path) -> None:
    (copies := tmp_path / COPIES).mkdir()
    (tmp_path / "theirs.json").touch()
    for name in ("old", "new", "running"):
        (copies / f"{name}.json").touch()
    for file in (tmp_path / "theirs.json", copies / "old.json", copies / "running.json"):
        os.utime(file, (0, time.time() - 8 * 86_400))
    folder = ImportFolder(tmp_path)
    assert folder.remove_old_copies(older_than=timedelta(days=7), besides={"running"}) == 1
    assert {file.name for file in copies.iterdir()} == {"new.json", "running.json"}
    assert (tmp_path / "theirs.json").exists()
    assert ImportFolder(tmp_path / "nowhere").remove_old_copies(older_than=timedelta(0), besides=()) == 0
