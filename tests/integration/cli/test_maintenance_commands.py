"""`stats`, `retention` and `maintenance`."""

from datetime import UTC, datetime
from pathlib import Path

from services.domain.memories import NewMemory, owner_of
from services.memories.merging import Merging
from services.postgres.memories.merges import Merges
from services.resources import Resources
from tests.support.command_line import CommandLine

ANA = owner_of("user", "ana")


async def test_stats_count_and_draw(
    environment: None, resources: Resources, afterturn: CommandLine, tmp_path: Path
) -> None:
    await resources.sections.store_fact(ANA, "notes", "word " * 1_000)
    done = await afterturn("stats", "--json", "--plots", str(tmp_path / "plots"))
    assert done.code == 0
    assert done.document["figures"]["totals"]["rooms"] == 0
    assert done.document["growth"][-1]["messages"] == 0
    assert [begins_as_png(file) for file in done.document["plots"]] == [True] * 5
    shown = await afterturn("stats")
    assert "What to look at" in shown.out
    assert "totals: rooms" in shown.out
    assert "Section store" in shown.out
    [line] = [line for line in shown.out.splitlines() if line.strip().startswith("facts")]
    assert "5002" in line.replace(",", "")


def begins_as_png(file: str) -> bool:
    return Path(file).read_bytes().startswith(b"\x89PNG")


async def test_a_tenants_retention_is_set_and_listed(
    environment: None, resources: Resources, afterturn: CommandLine
) -> None:
    done = await afterturn("retention", "set", "model_answers", "14", "--company", "acme", "--json")
    assert (done.code, done.document) == (0, {"owner": "company:acme", "table": "model_answers", "days": 14})
    listed = (await afterturn("retention", "list", "--json")).document
    assert listed["defaults"]["model_answers"] == 90
    assert [(one["table"], one["days"]) for one in listed["tenants"]] == [("model_answers", 14)]
    refused = await afterturn("retention", "set", "facts", "14", "--company", "acme")
    assert (refused.code, "quarantine, model_answers" in refused.err) == (2, True)


async def test_a_merge_is_listed_and_undone(environment: None, resources: Resources, afterturn: CommandLine) -> None:
    for day, slug in enumerate(("city", "home"), start=1):
        lima = NewMemory(slug, "The user lives in Lima", datetime(2026, 1, day, tzinfo=UTC), made_by="model")
        await resources.memories.save(ANA, [lima])
    await Merging(resources.memories, Merges(resources.database)).merge(ANA, run_id="run")
    [merge] = (await afterturn("maintenance", "merges", "--user", "ana", "--json")).document["merges"]
    assert (merge["kept"], merge["ended"], merge["state"]) == ("city", "home", "done")
    undone = await afterturn("maintenance", "undo", merge["id"], "--json")
    assert (undone.code, undone.document["outcome"]) == (0, "restored")
    assert len(await resources.brain.get_all_by_user(ANA.id)) == 2
    unknown = await afterturn("maintenance", "undo", "3f8b2c1e-5d7a-5c11-9d52-0c8f4e6a7b21")
    assert unknown.code == 1
