"""What the tokens cost, by the price table that the settings give."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, Literal

Prices = Mapping[str, Mapping[Literal["prompt", "completion"], float]]
_PRICED_FOR = 1_000_000  # tokens


def priced(tokens: Mapping[str, Any] | None, prices: Prices) -> dict[str, Any]:
    """Give the cost by model and by tenant, of the models that have a price; `unpriced` names the others."""
    counted = tokens or {}
    by_model: Sequence[Mapping[str, Any]] = counted.get("by_model", [])
    tenants: defaultdict[str, float] = defaultdict(float)
    for row in counted.get("by_tenant", []):
        tenants[row["tenant"]] += _cost(row, prices) or 0.0
    known = {row["model"]: cost for row in by_model if (cost := _cost(row, prices)) is not None}
    return {
        "total": round(sum(known.values()), 6) if known else None,
        "by_model": {model: round(cost, 6) for model, cost in known.items()},
        "by_tenant": {tenant: round(cost, 6) for tenant, cost in tenants.items() if cost},
        "unpriced": [row["model"] for row in by_model if row["model"] not in known],
    }


def _cost(row: Mapping[str, Any], prices: Prices) -> float | None:
    price = prices.get(row["model"])
    if price is None:
        return None
    asked, answered = price.get("prompt", 0.0), price.get("completion", 0.0)
    return float((row["prompt"] * asked + row["completion"] * answered) / _PRICED_FOR)
