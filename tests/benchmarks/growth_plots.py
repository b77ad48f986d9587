"""Draws what `growth --record FILE` measured: `python -m tests.benchmarks.growth_plots FILE [FOLDER]`."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

IMAGES = Path(__file__).parents[2] / "docs" / "images"
_INK, _DOTS = "#1f5f8b", 110


def draw(measured: dict[str, Any], folder: Path) -> None:
    if rows := measured.get("memories"):
        _lines(rows, "memories", ("p50_ms", "p95_ms"), "search, ms", folder / "benchmarks-memories.png")
    if rows := measured.get("rooms"):
        _lines(rows, "rooms", ("p50", "p95"), "from turn to digest, s", folder / "benchmarks-rooms.png")
    if found := measured.get("workers"):
        figure = Figure(figsize=(4, 3), layout="constrained")
        axes = figure.subplots()
        rates = found["turns_a_second"]
        axes.bar(list(rates), list(rates.values()), color=_INK, width=0.5)
        axes.set(xlabel="worker processes", ylabel="turns a second")
        figure.savefig(folder / "benchmarks-workers.png", dpi=_DOTS)


def _lines(rows: Sequence[dict[str, Any]], across: str, up: Sequence[str], label: str, path: Path) -> None:
    figure = Figure(figsize=(5, 3), layout="constrained")
    axes = figure.subplots()
    for name, style in zip(up, ("-o", "--s"), strict=True):
        axes.plot([row[across] for row in rows], [row[name] for row in rows], style, color=_INK, label=name[:3])
    axes.set(xscale="log", xlabel=across, ylabel=label)
    axes.set_ylim(0, 1.2 * max(row[name] for row in rows for name in up))
    axes.legend(frameon=False)
    figure.savefig(path, dpi=_DOTS)


def main() -> None:
    folder = Path(sys.argv[2]) if sys.argv[2:] else IMAGES
    draw(json.loads(Path(sys.argv[1]).read_text()), folder)


if __name__ == "__main__":
    main()
