"""Draws analyses. Matplotlib is imported only here, and draws without a screen."""

from collections.abc import Callable, Sequence
from functools import partial
from io import BytesIO
from typing import TYPE_CHECKING, Any, Literal, get_args

from services.analytics.recommendations import hit_rate
from services.analytics.taking import Analysis

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PlotName = Literal["growth", "tokens", "digest", "extraction", "hit_rate"]
PLOT_NAMES: tuple[PlotName, ...] = get_args(PlotName)
PlotFormat = Literal["png", "svg"]
_SIZE = (8.0, 4.5)
_DOTS_PER_INCH = 120
_NO_FIGURE = float("nan")


def draw(name: PlotName, analyses: Sequence[Analysis], *, file_format: PlotFormat = "png") -> bytes:
    """Draw one plot over the days of the analyses, as a file's bytes."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415  a worker must stay small
    from matplotlib.figure import Figure  # noqa: PLC0415  a worker must stay small

    figure = Figure(figsize=_SIZE, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    _PLOTS[name](axes, analyses)
    axes.grid(visible=True, alpha=0.3)
    figure.autofmt_xdate()
    file = BytesIO()
    figure.savefig(
        file, format=file_format, dpi=_DOTS_PER_INCH, metadata={"Date": None} if file_format == "svg" else {}
    )
    return file.getvalue()


def _growth(axes: "Axes", analyses: Sequence[Analysis]) -> None:
    axes.set_title("Messages, memories and rooms")
    axes.set_yscale("symlog")
    _line(axes, analyses, "messages", lambda figures: figures["totals"]["messages"])
    _line(
        axes,
        analyses,
        "memories",
        lambda figures: figures["totals"]["user_memories"] + figures["totals"]["company_memories"],
    )
    _line(axes, analyses, "rooms", lambda figures: figures["totals"]["rooms"])
    axes.legend()


def _tokens(axes: "Axes", analyses: Sequence[Analysis]) -> None:
    axes.set_title("Tokens of the last 7 days, by model")
    models = sorted({row["model"] for one in analyses for row in (one.figures.get("tokens") or {}).get("by_model", [])})
    for model in models:
        _line(axes, analyses, model, partial(_tokens_of, model))
    if models:
        axes.legend()


def _digest(axes: "Axes", analyses: Sequence[Analysis]) -> None:
    axes.set_title("From turn to digest, in seconds")
    _line(axes, analyses, "half of them", lambda figures: figures["digest"]["p50_seconds"])
    _line(axes, analyses, "19 in 20", lambda figures: figures["digest"]["p95_seconds"])
    axes.legend()


def _extraction(axes: "Axes", analyses: Sequence[Analysis]) -> None:
    axes.set_title("Memories learned in the last 7 days")
    _line(axes, analyses, "worded by the model", lambda figures: figures["extraction"]["memories_by_model"])
    _line(axes, analyses, "verbatim", lambda figures: figures["extraction"]["memories_verbatim"])
    axes.legend()


def _hit_rate(axes: "Axes", analyses: Sequence[Analysis]) -> None:
    axes.set_title("Reads that the section store's cache answered")
    axes.set_ylim(0, 1)
    _line(axes, analyses, "hit rate", lambda figures: hit_rate(figures["sections"]))


def _tokens_of(model: str, figures: Any) -> int:  # noqa: ANN401
    return sum(row["prompt"] + row["completion"] for row in figures["tokens"]["by_model"] if row["model"] == model)


def _line(axes: "Axes", analyses: Sequence[Analysis], label: str, read: Callable[[Any], float | None]) -> None:
    """Draw a line through the days that have the figure."""
    days = [analysis.day.isoformat() for analysis in analyses]
    axes.plot(days, [_value(analysis, read) for analysis in analyses], marker="o", label=label)


def _value(analysis: Analysis, read: Callable[[Any], float | None]) -> float:
    try:
        value = read(analysis.figures)
    except (KeyError, TypeError):
        # It was not counted on that day: it took too long, or there was no such figure yet.
        return _NO_FIGURE
    return _NO_FIGURE if value is None else float(value)


_PLOTS: dict[PlotName, Callable[["Axes", Sequence[Analysis]], None]] = {
    "growth": _growth,
    "tokens": _tokens,
    "digest": _digest,
    "extraction": _extraction,
    "hit_rate": _hit_rate,
}
