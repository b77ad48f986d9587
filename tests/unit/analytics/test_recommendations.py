"""Each rule speaks when its figure calls for it, and is silent where all is well."""

from typing import Any

import pytest

from services.analytics.costs import priced
from services.analytics.recommendations import hit_rate, recommend

WELL: dict[str, Any] = {
    "totals": {"rooms": 5},
    "quarantine": {"open": 0, "by_reason": {}},
    "digest": {"p95_seconds": 12.0, "oldest_waiting_seconds": 30, "waiting_chunks": 1},
    "extraction": {
        "chunks": 100, "memories_by_model": 40, "memories_verbatim": 10, "summaries_by_model": 90,
        "summaries_extractive": 10,
    },
    "sections": {"hits": 9_000, "misses": 500, "bypassed": 10},
    "mem0": {"standing_intents": 0},
    "merges": {"merged": 3, "undone": 0},
    "indexes": [],
    "dead_rows": {},
}  # fmt: skip

CALLS: dict[str, tuple[dict[str, Any], str]] = {
    "left out": ({"tokens": None}, "tokens: took too long"),
    "quarantine": ({"quarantine": {"open": 4}}, "4 in quarantine"),
    "stands still": ({"digest": {"oldest_waiting_seconds": 7_200, "waiting_chunks": 9}}, "2.0 hours"),
    "slow": ({"digest": {"p95_seconds": 900.0, "oldest_waiting_seconds": None}}, "900 seconds"),
    "teaches nothing": ({"extraction": {"chunks": 50}}, "50 chunks taught nothing"),
    "verbatim": ({"extraction": {"memories_by_model": 5, "memories_verbatim": 45}}, "45 of 50 memories"),
    "extractive": (
        {"extraction": {"memories_by_model": 50, "summaries_by_model": 1, "summaries_extractive": 29}},
        "29 of 30 summaries",
    ),
    "hit rate": ({"sections": {"hits": 100, "misses": 900, "bypassed": 1_000}}, "5% of the reads"),
    "mem0": ({"mem0": {"standing_intents": 2}}, "2 writes to Mem0"),
    "undone": ({"merges": {"undone": 1}}, "1 merges were undone"),
    "index": ({"indexes": [{"index": "ix_unused", "bytes": 64 * 2**20}]}, "ix_unused (64 MiB)"),
    "dead rows": ({"dead_rows": {"messages": 90_000}}, "messages has 90000 dead rows"),
}


def test_where_all_is_well_nothing_is_recommended() -> None:
    assert recommend(WELL, None) == []
    assert recommend({}, {}) == []


@pytest.mark.parametrize(("changed", "told"), CALLS.values(), ids=CALLS)
def test_what_a_figure_calls_for_is_told_alone(changed: dict[str, Any], told: str) -> None:
    [sentence] = recommend(WELL | changed, WELL)
    assert told in sentence


def test_a_growing_quarantine_is_told() -> None:
    [sentence] = recommend({"quarantine": {"open": 7}}, {"quarantine": {"open": 4}})
    assert "3 more than before" in sentence


def test_without_reads_there_is_no_hit_rate() -> None:
    assert hit_rate(None) is None
    assert hit_rate({"hits": 0, "misses": 0}) is None
    assert hit_rate({"hits": 1, "misses": 1, "bypassed": 2}) == pytest.approx(0.25)


def test_without_prices_nothing_has_a_cost() -> None:
    tokens = {"by_model": [{"model": "m", "prompt": 5, "completion": 5}], "by_tenant": []}
    assert priced(tokens, {}) == {"total": None, "by_model": {}, "by_tenant": {}, "unpriced": ["m"]}
    assert priced(None, {"m": {"prompt": 1.0}})["total"] is None
