"""Draws the dashboard's panels from what a real Prometheus answers: `python -m tests.support.dashboard_picture`.

Grafana draws them otherwise; the figures are the same.
"""

import asyncio
import json
import re
import time
from io import BytesIO
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from tests.support.monitored import ROOT, Monitored, monitored
from tests.support.servers import short_folder

PICTURE = ROOT / "docs" / "images" / "dashboard.png"
_DASHBOARD = ROOT / "compose" / "grafana" / "dashboards" / "afterturn.json"
_SECONDS = 240
_COLUMNS = 3
_LINES = 6


async def draw() -> None:
    panels = json.loads(_DASHBOARD.read_text())["panels"]
    with short_folder() as folder:
        async with monitored(folder) as system:
            began = time.time()
            await system.talk(_SECONDS)
            await asyncio.sleep(10)
            answers = [[await _answer(system, target, began) for target in panel["targets"]] for panel in panels]
    _save(panels, answers, began)


async def _answer(system: Monitored, target: dict[str, Any], began: float) -> list[tuple[str, list[Any]]]:
    query = target["expr"].replace("$__rate_interval", "15s")
    found = await system.asked("query_range", query=query, start=began, end=time.time(), step="2")
    return [(_legend(target["legendFormat"], one["metric"]), one["values"]) for one in found["result"]]


def _legend(template: str, labels: dict[str, str]) -> str:
    return re.sub(r"\{\{(\w+)\}\}", lambda name: labels.get(name[1], ""), template)


def _save(panels: list[dict[str, Any]], answers: list[list[list[tuple[str, list[Any]]]]], began: float) -> None:
    rows = -(-len(panels) // _COLUMNS)
    figure = Figure(figsize=(6 * _COLUMNS, 3.2 * rows), layout="constrained")
    FigureCanvasAgg(figure)
    places = figure.subplots(rows, _COLUMNS, squeeze=False).flatten()
    for place, panel, found in zip(places, panels, answers, strict=False):
        _panel(place, panel, [series for target in found for series in target], began)
    for place in places[len(panels) :]:
        place.set_axis_off()
    drawn = BytesIO()
    figure.savefig(drawn, dpi=65)
    # A few lines need few colours, and a checkout no megabytes.
    Image.open(drawn).convert("RGB").quantize(48).save(PICTURE, optimize=True)


def _panel(place: Axes, panel: dict[str, Any], series: list[tuple[str, list[Any]]], began: float) -> None:
    place.set_title(f"{panel['title']} [{panel['fieldConfig']['defaults']['unit']}]", fontsize=10)
    greatest = sorted(series, key=lambda one: -max(float(value) for _, value in one[1]))
    for legend, values in greatest[:_LINES]:
        place.plot([at - began for at, _ in values], [float(value) for _, value in values], label=legend, linewidth=1.2)
    place.set_ylim(bottom=0)
    place.grid(visible=True, alpha=0.3)
    place.tick_params(labelsize=8)
    if series:
        place.legend(fontsize=6, loc="upper left", framealpha=0.5)


if __name__ == "__main__":
    Path(PICTURE).parent.mkdir(exist_ok=True)
    asyncio.run(draw())
