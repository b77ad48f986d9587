"""`stats`: the newest analysis as JSON, as tables and as plots."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from services.analytics.recommendations import hit_rate
from services.analytics.taking import WINDOW_DAYS, Analysis, Analytics
from services.cli.exit_codes import OK
from services.cli.output import Output
from services.cli.reaching import opened
from services.domain.errors import InvalidInputError
from services.worker.maintenance import wire_analytics

_BY_HAND = "afterturn stats"


async def show(output: Output, *, again: bool, days: int, plots: Path | None) -> int:
    async with opened("postgres") as resources:
        analyses = await _analyses(wire_analytics(resources), again=again, days=days)
    drawn = await asyncio.to_thread(_draw, plots, analyses) if plots else []
    newest = analyses[-1]
    output.emit(
        {**_document(newest), "growth": [_growth(one) for one in analyses], "plots": [str(one) for one in drawn]}
    )
    if not output.as_json:
        _print(output, newest, analyses)
    for file in drawn:
        output.note(f"wrote {file}")
    return OK


async def _analyses(analytics: Analytics, *, again: bool, days: int) -> list[Analysis]:
    """Give the last days' analyses, today's among them."""
    known = await analytics.recent(days=days)
    if again or not known or known[-1].day != datetime.now(UTC).date():
        await analytics.take(run_id=_BY_HAND)
        known = await analytics.recent(days=days)
    return known


def _draw(folder: Path, analyses: Sequence[Analysis]) -> list[Path]:
    from services.analytics.plots import PLOT_NAMES, draw

    try:
        folder.mkdir(parents=True, exist_ok=True)
        files = [folder / f"{name}.png" for name in PLOT_NAMES]
        for name, file in zip(PLOT_NAMES, files, strict=True):
            file.write_bytes(draw(name, analyses))
    except OSError as error:
        raise InvalidInputError("--plots", f"a folder that can be written ({type(error).__name__})") from None
    return files


def _document(analysis: Analysis) -> dict[str, Any]:
    return {
        "day": analysis.day.isoformat(),
        "taken_at": analysis.taken_at,
        "window_days": WINDOW_DAYS,
        "figures": dict(analysis.figures),
        "hit_rate": hit_rate(analysis.figures.get("sections")),
        "costs": dict(analysis.costs),
        "recommendations": list(analysis.recommendations),
    }


def _growth(analysis: Analysis) -> dict[str, Any]:
    return {"day": analysis.day.isoformat(), **(analysis.figures.get("totals") or {})}


def _print(output: Output, newest: Analysis, analyses: Sequence[Analysis]) -> None:
    figures = newest.figures
    output.title(f"Counted at {newest.taken_at:%Y-%m-%d %H:%M} UTC; times and tokens of the last {WINDOW_DAYS} days")
    output.table(("figure", "value"), _lines(figures))
    growth = [_growth(one) for one in analyses]
    if len(growth) > 1:
        output.title("Growth")
        output.table(list(growth[-1]), ([row.get(name) for name in growth[-1]] for row in growth))
    held = figures.get("storage") or {}
    _table(output, "Section store", [{"section": name, **size} for name, size in held.items()])
    _table(output, "Slow rooms", (figures.get("digest") or {}).get("slow_rooms"))
    _table(output, "Tokens by model", (figures.get("tokens") or {}).get("by_model"))
    _table(output, "Tokens by tenant", (figures.get("tokens") or {}).get("by_tenant"))
    if newest.costs["total"] is not None:
        output.title("Costs")
        output.table(("of", "cost"), [*newest.costs["by_model"].items(), ("all", newest.costs["total"])])
    output.title("What to look at")
    for sentence in newest.recommendations or ["nothing: all is well"]:
        output.print(f"- {sentence}")


def _lines(figures: Mapping[str, Any]) -> list[tuple[str, object]]:
    """Give the figures that are single numbers, each with its part's name."""
    rate = hit_rate(figures.get("sections"))
    lines = [
        (f"{part}: {name.replace('_', ' ')}", value)
        for part in ("totals", "digest", "extraction", "quarantine", "mem0", "merges")
        for name, value in (figures.get(part) or {}).items()
        if not isinstance(value, (list, dict))
    ]
    return [*lines, ("sections: hit rate", None if rate is None else f"{rate:.1%}")]


def _table(output: Output, title: str, rows: Sequence[Mapping[str, Any]] | None) -> None:
    if rows:
        output.title(title)
        output.table([name.replace("_", " ") for name in rows[0]], (list(row.values()) for row in rows))
