"""Figures are those of a small database that was counted by hand; plots are pictures."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from sqlalchemy import make_url, text

from services.analytics.plots import PLOT_NAMES, draw
from services.analytics.recommendations import hit_rate
from services.analytics.taking import Analytics
from services.domain.memories import NewMemory, owner_of
from services.domain.messages import NewMessage
from services.embedded.postgres_server import PostgresServer
from services.mem0_store.open_source import OpenSourceStore
from services.postgres.database import Database
from services.postgres.upkeep.analyses import Analyses, drop_names, statements
from tests.support.databases import administer
from tests.support.memories_kept import run_sql
from tests.support.old_rows import OldRows
from tests.support.tenants import archive

ANA, ACME = owner_of("user", "ana"), owner_of("company", "acme")
NOW = datetime.now(UTC)
PRICES: Any = {"chat": {"prompt": 1.0, "completion": 10.0}}
SECRET = "the secret of the user"
# In UTC, as analyses are; `current_date` is of the zone that Postgres' machine is in.
OF_YESTERDAY = (
    "insert into analyses (day, figures, run_id) "
    "values ((now() at time zone 'UTC')::date - 1, cast(:figures as jsonb), 'run')"
)


@pytest.fixture
async def filled(database: Database, store: OpenSourceStore) -> None:
    rows = OldRows(database)
    for room, waited in (("user:ana", 10), ("room:slow", 600)):
        said = [NewMessage(f"m{n}", "user", SECRET, "ana", None, NOW - timedelta(minutes=30)) for n in range(4)]
        await archive(database, room, said)
        at = NOW - timedelta(hours=1)
        await run_sql(database, "update messages set archived_at = :at where room_id = :room", at=at, room=room)
        for seq in (1, 2):
            await run_sql(
                database,
                "insert into chunks (id, room_id, first_seq, last_seq, tokens, state, digested_at) values "
                "(gen_random_uuid(), :room, :seq, :seq, 9, 'digested', :at)",
                room=room,
                seq=seq,
                at=at + timedelta(seconds=waited),
            )
    await run_sql(
        database,
        "insert into chunks (id, room_id, first_seq, last_seq, tokens, created_at) "
        "values (gen_random_uuid(), 'user:ana', 3, 4, 9, now() - interval '2 hours')",
    )
    await rows.room("user:old", ANA)
    for model, prompt in (("chat", 1_000_000), ("other", 5)):
        await rows.answered("user:old", "split", days=1, model=model, prompt=prompt, completion=100_000)
    await rows.answered("user:old", "split", days=30)
    for state, reason in (("open", "bad_json"), ("open", "bad_key"), ("open", "bad_key"), ("redriven", "bad_key")):
        await rows.held(state, days=1, reason=reason)
    for number, (owner, made_by) in enumerate(((ANA, "model"), (ANA, "verbatim"), (ANA, "caller"), (ACME, "model"))):
        await store.save(owner, NewMemory(f"fact_{number}", f"Fact {number}", NOW, made_by=made_by))  # type: ignore[arg-type]
    await run_sql(
        database,
        "insert into section_counts (day, name, count) values (current_date, 'hits', 30), "
        "(current_date, 'misses', 5), (current_date - 1, 'bypassed', 5), (current_date - 90, 'hits', 1000)",
    )
    await run_sql(
        database,
        "insert into section_values "
        "(id, owner_type, owner_id, section, namespace, key, value, is_compressed, raw_size) "
        "select gen_random_uuid(), 'user', gen_random_uuid(), 'facts', 'default', 'k', '7777', true, 100 "
        "from generate_series(1, 3)",
    )


@pytest.fixture
def analytics(database: Database) -> Analytics:
    return Analytics(Analyses(database), PRICES)


async def counted(analytics: Analytics) -> Mapping[str, Any]:
    return (await analytics.take(run_id="run")).figures


@pytest.mark.usefixtures("filled")
async def test_the_figures_are_those_counted_by_hand(analytics: Analytics) -> None:
    figures = await counted(analytics)
    assert figures["totals"] == {
        "rooms": 3,
        "messages": 12,
        "user_memories": 3,
        "company_memories": 1,
        "remembered_users": 1,
        "remembered_companies": 1,
    }
    digest = figures["digest"]
    assert (digest["chunks"], digest["waiting_chunks"]) == (4, 1)
    assert digest["slow_rooms"] == [
        {"room_id": "room:slow", "chunks": 2, "p50_seconds": 600.0, "p95_seconds": 600.0},
        {"room_id": "user:ana", "chunks": 2, "p50_seconds": 10.0, "p95_seconds": 10.0},
    ]
    assert (digest["p50_seconds"], digest["p95_seconds"]) == (305.0, 600.0)
    assert 7_190 < digest["oldest_waiting_seconds"] < 7_300
    assert figures["extraction"] == {
        "chunks": 4,
        "memories_by_model": 2,
        "memories_verbatim": 1,
        "summaries_by_model": 0,
        "summaries_extractive": 0,
    }
    assert figures["tokens"]["by_model"] == [
        {"model": "chat", "answers": 1, "prompt": 1_000_000, "completion": 100_000},
        {"model": "other", "answers": 1, "prompt": 5, "completion": 100_000},
    ]
    assert [row["tenant"] for row in figures["tokens"]["by_tenant"]] == ["user:ana", "user:ana"]
    assert figures["quarantine"] == {"open": 3, "by_reason": {"bad_json": 1, "bad_key": 2}}
    assert figures["sections"] == {"hits": 30, "misses": 5, "bypassed": 5}
    assert hit_rate(figures["sections"]) == pytest.approx(0.75)
    assert figures["storage"] == {"facts": {"values": 3, "raw_bytes": 300, "stored_bytes": 12}}
    assert figures["merges"] == {"merged": 0, "undone": 0}


@pytest.mark.usefixtures("filled")
async def test_costs_and_recommendations_follow_from_the_figures(analytics: Analytics) -> None:
    analysis = await analytics.take(run_id="run")
    assert analysis.costs == {
        "total": 2.0,
        "by_model": {"chat": 2.0},
        "by_tenant": {"user:ana": 2.0},
        "unpriced": ["other"],
    }
    said = " ".join(analysis.recommendations)
    assert "3 in quarantine" in said
    assert "1 chunks wait to be digested, one of them for 2.0 hours" in said


@pytest.mark.usefixtures("filled")
async def test_an_analysis_holds_no_content_and_replaces_that_of_its_day(
    analytics: Analytics, database: Database
) -> None:
    totals = {"rooms": 1, "messages": 2, "user_memories": 0, "company_memories": 0}
    await run_sql(database, OF_YESTERDAY, figures=json.dumps({"totals": totals}))
    for run_id in ("first", "second"):
        newest = await analytics.take(run_id=run_id)
    recent = await analytics.recent(days=30)
    assert [one.figures["totals"]["rooms"] for one in recent] == [1, 3]
    assert (await analytics.recent(days=1))[0].day == newest.day
    assert "secret" not in json.dumps(newest.figures)
    assert "Fact" not in json.dumps(newest.figures)


@pytest.mark.usefixtures("filled")
async def test_only_the_newest_analysis_names_rooms_and_tenants_until_somebody_is_forgotten(
    analytics: Analytics, database: Database
) -> None:
    async def named() -> list[bool]:
        return ["user:ana" in json.dumps(one.figures) for one in await analytics.recent(days=9)]

    await analytics.take(run_id="run")
    assert await named() == [True]
    await run_sql(database, "update analyses set day = day - 1")
    await analytics.take(run_id="run")
    assert await named() == [False, True]
    async with database.transaction() as session:
        await drop_names(session)
    assert await named() == [False, False]
    assert (await analytics.recent(days=1))[0].costs["total"] == 2.0


async def test_a_figure_that_takes_too_long_is_left_out_and_told(database: Database, analytics: Analytics) -> None:
    await run_sql(
        database,
        "insert into analyses (day, figures, run_id) values (current_date, '{\"totals\": null}', 'run')",
    )
    [analysis] = await analytics.recent(days=1)
    assert "totals: took too long" in analysis.recommendations[0]
    async with database.transaction() as session:
        await session.execute(text("lock table user_brain in access exclusive mode"))
        hurried = await Analyses(database, figure_seconds=0.2).count(days=7)
    assert set(hurried) == set(statements())
    assert hurried["totals"] is None


# At any time of the day one of the two has another date.
@pytest.mark.parametrize("zone", ["Etc/GMT-14", "Etc/GMT+12"])
async def test_days_are_those_of_utc_wherever_postgres_is(
    zone: str, postgres_server: PostgresServer, database_url: str
) -> None:
    name = make_url(database_url).database
    await administer(postgres_server, f"alter database \"{name}\" set timezone = '{zone}'")
    async with Database.open(database_url) as database:
        await run_sql(
            database,
            "insert into section_counts (day, name, count) "
            "select (now() at time zone 'UTC')::date - ago, 'hits', number "
            "from (values (0, 1), (1, 20)) as counted (ago, number)",
        )
        assert (await Analyses(database).count(days=1))["sections"] == {"hits": 1}


@pytest.mark.usefixtures("filled")
@pytest.mark.parametrize("name", PLOT_NAMES)
async def test_plots_are_pictures(name: Any, analytics: Analytics, database: Database) -> None:
    await run_sql(database, OF_YESTERDAY, figures="{}")
    await analytics.take(run_id="run")
    analyses = await analytics.recent(days=30)
    picture = draw(name, analyses)
    assert picture.startswith(b"\x89PNG\r\n\x1a\n")
    assert picture.endswith(b"IEND\xaeB`\x82")
    assert ET.fromstring(draw(name, analyses, file_format="svg")).tag.endswith("svg")  # noqa: S314  our own
    assert draw(name, []).startswith(b"\x89PNG")
